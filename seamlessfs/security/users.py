"""From what a connection says about its user to the principal that every call carries."""

from __future__ import annotations

import ipaddress
from collections.abc import Mapping
from dataclasses import dataclass

from seamlessfs.model.errors import ImpersonationDenied
from seamlessfs.model.principal import AuthMethod, Principal
from seamlessfs.security.groups import GroupResolver

ANY = "*"
NAME_BYTES_MAX = 255
"""Of a user's name: what an owner may have. Deviation: stock takes any."""


@dataclass(frozen=True, slots=True)
class ProxyRule:
    """For whom one user may act, and from where, as `hadoop.proxyuser.<user>.{users,groups,hosts}` say it.

    Attributes:
        users: users that may be acted for.
        groups: groups whose members may be acted for.
        hosts: addresses or networks (CIDR) that the call may come from. `*` in any of them: all.
    """

    users: tuple[str, ...] = ()
    groups: tuple[str, ...] = ()
    hosts: tuple[str, ...] = (ANY,)

    def allows(self, user: str, groups: tuple[str, ...], address: str) -> bool:
        """Whether this user may be acted for from this address."""
        for_user = ANY in self.users or user in self.users
        for_group = ANY in self.groups or any(group in self.groups for group in groups)
        return (for_user or for_group) and any(_covers(host, address) for host in self.hosts)


class Users:
    """Makes principals.

    Args:
        resolver: who is in which group.
        superuser: the user that runs the namenode.
        supergroup: members of this group are superusers too.
        proxies: who may act for whom, by the acting user's name.
    """

    def __init__(
        self,
        resolver: GroupResolver,
        superuser: str,
        supergroup: str,
        proxies: Mapping[str, ProxyRule] | None = None,
    ) -> None:
        self.resolver = resolver
        self._superuser = superuser
        self._supergroup = supergroup
        self._proxies = dict(proxies or {})

    def replace_proxies(self, proxies: Mapping[str, ProxyRule]) -> None:
        """Who connects from now on goes by these rules (refreshSuperUserGroupsConfiguration)."""
        self._proxies = dict(proxies)

    def principal(
        self,
        user: str,
        real_user: str | None,
        address: str,
        now_mono_ms: int,
        auth_method: AuthMethod = AuthMethod.SIMPLE,
    ) -> Principal:
        """The caller that a connection stands for.

        Raises:
            ImpersonationDenied: no name at all or one that is too long, or a real user that may not act for this one
                from this address.
        """
        name = short_name(user)
        if not name:
            raise ImpersonationDenied("The connection names no user: set one (HADOOP_USER_NAME or user=)")
        for given in (name, real_user or ""):
            if len(given.encode()) > NAME_BYTES_MAX:
                raise ImpersonationDenied(
                    f"User name of {len(given.encode())} bytes: {NAME_BYTES_MAX} are allowed, use a shorter one"
                )
        groups = self.resolver.groups(name, now_mono_ms)
        real = short_name(real_user) if real_user else None
        if real is not None and real != name:
            rule = self._proxies.get(real)
            if rule is None or not rule.allows(name, groups, address):
                raise ImpersonationDenied(f"User: {real_user} is not allowed to impersonate {user}")
            auth_method = AuthMethod.PROXY
        else:
            real = None
        superuser = name == self._superuser or self._supergroup in groups
        return Principal(name, groups, real, auth_method, address, superuser)


def short_name(user: str) -> str:
    """`alice` of `alice`, `alice@REALM` and `alice/host@REALM`."""
    return user.split("@", 1)[0].split("/", 1)[0].strip()


def _covers(host: str, address: str) -> bool:
    if host in (ANY, address):
        return True
    try:
        return ipaddress.ip_address(address) in ipaddress.ip_network(host, strict=False)
    except ValueError:
        return False
