from __future__ import annotations

import grp
import os
import pwd

import pytest

from seamlessfs.model.errors import ImpersonationDenied
from seamlessfs.model.principal import AuthMethod
from seamlessfs.security.groups import GroupResolver, os_groups
from seamlessfs.security.users import ProxyRule, Users, short_name

TABLE = {"alice": ("staff", "dev"), "boss": ("supergroup",), "bob": ()}


def users(**proxies: ProxyRule) -> Users:
    return Users(GroupResolver(TABLE, lookup=lambda _: ()), "hdfs", "supergroup", proxies)


@pytest.mark.parametrize(
    ("user", "superuser"), [("hdfs", True), ("boss", True), ("alice", False), ("hdfs@REALM", True), ("root", False)]
)
def test_superusers_are_the_server_user_and_the_supergroup(user: str, superuser: bool) -> None:
    principal = users().principal(user, None, "10.0.0.1", 0)
    assert principal.superuser is superuser
    assert principal.user == short_name(user)
    assert principal.auth_method is AuthMethod.SIMPLE


def test_nobody_acts_for_others_without_a_rule() -> None:
    with pytest.raises(ImpersonationDenied, match=r"^User: nobody is not allowed to impersonate alice$"):
        users().principal("alice", "nobody", "10.0.0.1", 0)
    with pytest.raises(ImpersonationDenied, match="User: hdfs is not allowed"):
        users().principal("alice", "hdfs", "10.0.0.1", 0)


def test_to_act_for_oneself_needs_no_rule() -> None:
    principal = users().principal("alice", "alice", "10.0.0.1", 0)
    assert (principal.real_user, principal.auth_method) == (None, AuthMethod.SIMPLE)


@pytest.mark.parametrize(
    ("rule", "user", "address", "allowed"),
    [
        (ProxyRule(users=("*",)), "alice", "10.0.0.1", True),
        (ProxyRule(users=("bob",)), "alice", "10.0.0.1", False),
        (ProxyRule(groups=("dev",)), "alice", "10.0.0.1", True),
        (ProxyRule(groups=("dev",)), "bob", "10.0.0.1", False),
        (ProxyRule(groups=("*",), hosts=("10.0.0.0/24",)), "alice", "10.0.0.9", True),
        (ProxyRule(groups=("*",), hosts=("10.0.0.0/24",)), "alice", "10.0.1.9", False),
        (ProxyRule(users=("*",), hosts=("10.0.0.7",)), "bob", "10.0.0.7", True),
        (ProxyRule(users=("*",), hosts=("not an address",)), "bob", "10.0.0.7", False),
        (ProxyRule(), "alice", "10.0.0.1", False),
    ],
)
def test_a_rule_names_users_groups_and_hosts(rule: ProxyRule, user: str, address: str, allowed: bool) -> None:
    made = users(hive=rule)
    if allowed:
        principal = made.principal(user, "hive/host@REALM", address, 0)
        assert (principal.user, principal.real_user) == (user, "hive")
        assert principal.auth_method is AuthMethod.PROXY
    else:
        with pytest.raises(ImpersonationDenied):
            made.principal(user, "hive", address, 0)


def test_a_connection_without_a_user_is_refused() -> None:
    with pytest.raises(ImpersonationDenied, match="names no user"):
        users().principal(" ", None, "10.0.0.1", 0)


@pytest.mark.parametrize("name", ["n" * 256, "ü" * 128, "n" * 10_000])
def test_a_user_whose_name_no_owner_can_have_is_refused(name: str) -> None:
    users = Users(GroupResolver(lookup=lambda user: ()), "hdfs", "supergroup", {name: ProxyRule(users=("*",))})
    for who, real in ((name, None), ("alice", name)):
        with pytest.raises(ImpersonationDenied, match="255 are allowed"):
            users.principal(who, real, "127.0.0.1", 0)
    assert users.principal("n" * 255, None, "127.0.0.1", 0).user == "n" * 255


@pytest.mark.parametrize("name", ["a\0b", "$(reboot)", "; id", "-rf", "../root", "a\nb", "root\0", "\U0001f600"])
def test_the_operating_system_is_asked_for_any_name_and_knows_none_of_these(name: str) -> None:
    assert os_groups(name) == ()


def test_look_ups_are_remembered_for_a_while_and_bounded() -> None:
    asked: list[str] = []

    def lookup(user: str) -> tuple[str, ...]:
        asked.append(user)
        return (f"{user}-{len(asked)}",)

    resolver = GroupResolver({"fixed": ("f",)}, lookup=lookup, ttl_ms=100, users_max=2)
    assert resolver.groups("fixed", 0) == ("f",)
    assert [resolver.groups("a", at)[0] for at in (0, 99, 100, 150)] == ["a-1", "a-1", "a-2", "a-2"]
    resolver.groups("b", 150)
    resolver.groups("c", 150)
    assert resolver.groups("a", 150) == ("a-5",)
    resolver.forget()
    assert resolver.groups("a", 150) == ("a-6",)
    assert asked == ["a", "a", "b", "c", "a", "a"]


def test_the_operating_system_knows_who_runs_this() -> None:
    me = pwd.getpwuid(os.getuid())
    assert os_groups(me.pw_name)[0] == grp.getgrgid(me.pw_gid).gr_name
    assert os_groups("no-such-user-here") == ()
