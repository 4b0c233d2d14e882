"""How the words of a command are read, and what a command says about itself."""

from __future__ import annotations

from collections import deque

import pytest

from seamlessfs.cli.dfs.attributes import acl_lines, decoded, parse_acl
from seamlessfs.cli.dfs.call import Call
from seamlessfs.cli.dfs.command import Command, parse
from seamlessfs.cli.dfs.find import parse as parse_expression
from seamlessfs.cli.dfs.item import UsageError
from seamlessfs.cli.dfs.shell import commands
from seamlessfs.client.attributes import AclEntry
from seamlessfs.model.errors import RemoteIOError
from seamlessfs.model.trash import checkpoint_at_ms, checkpoint_name, is_expired


def nothing(call: Call) -> None:
    raise AssertionError(call)


PLAIN = Command(nothing, "", "", {"f": "", "t <count>": "", "n=name": "", "p[abc]": ""}, least=1, most=3)
STRAY = Command(nothing, "", "", {"R": ""}, stray=True)


@pytest.mark.parametrize(
    ("words", "flags", "arguments"),
    [
        (["a"], {}, ["a"]),
        (["-f", "a", "-f"], {"f": ""}, ["a", "-f"]),
        (["-t", "4", "a"], {"t": "4"}, ["a"]),
        (["-t", "a"], {"t": ""}, ["a"]),
        (["-t", "-f", "a", "b"], {"t": "", "f": ""}, ["a", "b"]),
        (["a", "-n", "x", "b"], {"n": "x"}, ["a", "b"]),
        (["-n", "-f", "a"], {"n": "-f"}, ["a"]),
        (["--", "-f", "-n"], {}, ["-f", "-n"]),
        (["-pab", "-p", "a"], {"pab": "", "p": ""}, ["a"]),
        (["-", "-f"], {}, ["-", "-f"]),
    ],
)
def test_options_and_arguments(words: list[str], flags: dict[str, str], arguments: list[str]) -> None:
    assert parse(PLAIN, words) == (flags, arguments)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ([], "Not enough arguments: expected 1 but got 0"),
        (["a", "b", "c", "d"], "Too many arguments: expected 3 but got 4"),
        (["-x", "a"], "Illegal option -x"),
        (["a", "-n"], "option -n requires 1 argument."),
    ],
)
def test_what_cannot_be_read(words: list[str], said: str) -> None:
    with pytest.raises(UsageError) as caught:
        parse(PLAIN, words)
    assert str(caught.value) == said


def test_a_mode_may_begin_with_a_dash() -> None:
    assert parse(STRAY, ["-R", "-x", "a"]) == ({"R": ""}, ["-x", "a"])
    assert parse(STRAY, ["-x", "-R", "a"]) == ({"R": ""}, ["-x", "a"])


def test_every_command_explains_each_of_its_options_and_shows_how_it_is_used() -> None:
    for name, command in commands().items():
        shown = command.explain(name)
        assert shown.startswith(f"{command.line(name)} :\n  ")
        assert all(flag in shown for flag in command.flags())
        assert all(len(line) <= 120 for line in shown.splitlines()[1:])
        if not command.instead and name not in ("moveToLocal", "help", "usage"):
            assert f"\n  Examples:\n    seamlessfs dfs -{name}" in shown, name


@pytest.mark.parametrize(
    ("text", "value"),
    [("a", b"a"), ('"a b"', b"a b"), ("0x6162", b"ab"), ("0XFF", b"\xff"), ("0sYWI=", b"ab"), ("", b""), ('"', b'"')],
)
def test_values_of_attributes(text: str, value: bytes) -> None:
    assert decoded(text) == value


@pytest.mark.parametrize("text", ["0x6", "0xzz", "0s%"])
def test_values_that_are_none(text: str) -> None:
    with pytest.raises(RemoteIOError, match=f"{text} cannot be decoded"):
        decoded(text)


def test_access_control_lists_are_read() -> None:
    assert parse_acl("user::rwx,group:staff:r-x,default:other::---", with_actions=True) == [
        AclEntry("user", "", 7),
        AclEntry("group", "staff", 5),
        AclEntry("other", "", 0, default=True),
    ]
    assert parse_acl("user:bob,default:mask", with_actions=False) == [
        AclEntry("user", "bob"),
        AclEntry("mask", default=True),
    ]


def test_what_a_mask_takes_away_is_shown() -> None:
    entries = [AclEntry("user", "bob", 7), AclEntry("group", "", 6), AclEntry("user", "eve", 4, default=True)]
    assert acl_lines(0o750, entries) == [
        "user::rwx",
        "user:bob:rwx\t#effective:r-x",
        "group::rw-\t#effective:r--",
        "mask::r-x",
        "other::---",
        "default:user:eve:r--",
    ]
    assert acl_lines(0o640, []) == ["user::rw-", "group::r--", "other::---"]


def test_parentheses_of_an_expression_have_a_bound() -> None:
    with pytest.raises(UsageError, match="more than 100 parentheses"):
        parse_expression(deque(["("] * 200), print)


@pytest.mark.parametrize(
    ("name", "is_checkpoint"),
    [
        ("261130120000", True),
        ("261130120000-7", True),
        ("2611301200", True),
        ("Current", False),
        ("x261130120000", False),
        ("261340000000", False),
        ("26113012", False),
    ],
)
def test_names_of_checkpoints(name: str, is_checkpoint: bool) -> None:
    assert (checkpoint_at_ms(name) is not None) == is_checkpoint


def test_a_checkpoint_expires_once_it_is_older_than_the_interval() -> None:
    made_at_ms = 1_764_500_000_000
    name = checkpoint_name(made_at_ms, 3)
    assert checkpoint_at_ms(name) == made_at_ms
    assert not is_expired(name, made_at_ms + 60_000, 60_000)
    assert is_expired(name, made_at_ms + 60_001, 60_000)
    assert not is_expired("Current", made_at_ms * 2, 0)
