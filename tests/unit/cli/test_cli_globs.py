"""Patterns of paths: what they stand for, and which paths they are looked for under."""

from __future__ import annotations

import fnmatch

import pytest
from hypothesis import given
from hypothesis import strategies as st

from seamlessfs.cli.dfs.glob import compile_component, expand_braces, is_pattern, unescape
from seamlessfs.cli.dfs.item import absolute, authority_and_path
from seamlessfs.client.client import Client
from seamlessfs.client.options import ClientOptions
from seamlessfs.model.errors import IllegalArgument

NAMES = ["a", "b", "ab", "a.txt", "b.txt", ".hidden", "a*b", "a?b", "[x]", "x", "{a,b}", "a\\b", "a-b", "^", "]", "ä"]


def matches(pattern: str, names: list[str] = NAMES) -> list[str]:
    compiled = compile_component(pattern, pattern)
    return [name for name in names if compiled.fullmatch(name)]


@pytest.mark.parametrize(
    ("pattern", "found"),
    [
        ("*", NAMES),
        ("?", ["a", "b", "x", "^", "]", "ä"]),
        ("*.txt", ["a.txt", "b.txt"]),
        ("a?b", ["a*b", "a?b", "a\\b", "a-b"]),
        (r"a\*b", ["a*b"]),
        (r"a\?b", ["a?b"]),
        (r"a\\b", ["a\\b"]),
        (r"\[x]", ["[x]"]),
        (r"\{a,b}", ["{a,b}"]),
        ("[ab]", ["a", "b"]),
        ("[a-c]", ["a", "b"]),
        ("[^a-c]", ["x", "^", "]", "ä"]),
        ("[!a-c]", ["x", "^", "]", "ä"]),
        ("[]]", ["]"]),
        (r"[\]]", ["]"]),
        ("a[-*]b", ["a*b", "a-b"]),
        ("a[[?]b", ["a?b"]),
        ("zzz*", []),
        ("a.t*", ["a.txt"]),
    ],
)
def test_a_component_matches_whole_names(pattern: str, found: list[str]) -> None:
    assert matches(pattern) == found


def test_a_point_is_no_wildcard_and_a_line_end_is_a_character() -> None:
    assert matches("a.txt", ["a.txt", "abtxt"]) == ["a.txt"]
    assert matches("a*", ["a\nb", "a\n"]) == ["a\nb", "a\n"]
    assert matches("a", ["a\n"]) == []


@pytest.mark.parametrize("pattern", ["[", "a[b", "[^", "[]", r"[a\]"])
def test_a_class_must_end(pattern: str) -> None:
    with pytest.raises(IllegalArgument, match="Illegal file pattern: Unclosed character class near index"):
        compile_component(pattern, pattern)


def test_a_range_must_go_up() -> None:
    with pytest.raises(IllegalArgument, match="Illegal file pattern: bad character range z-a"):
        compile_component("[z-a]", "/d/[z-a]")


@pytest.mark.parametrize(
    ("text", "options"),
    [
        ("/a/b", ["/a/b"]),
        ("/{a,b}", ["/a", "/b"]),
        ("/{a,b}/{c,d}", ["/a/c", "/a/d", "/b/c", "/b/d"]),
        ("/{a,b/{c,d}}/e", ["/a/e", "/b/c/e", "/b/d/e"]),
        ("/x{,y}", ["/x", "/xy"]),
        ("/{a,a}", ["/a"]),
        ("/{a}", ["/a"]),
        (r"/\{a,b}", [r"/\{a,b}"]),
        (r"/{a\,b,c}", [r"/a\,b", "/c"]),
        ("/a}b", ["/a}b"]),
        ("/a,b", ["/a,b"]),
    ],
)
def test_braces_stand_for_their_options(text: str, options: list[str]) -> None:
    assert expand_braces(text) == options


@pytest.mark.parametrize("text", ["/{", "/a{b", "/{a,{b}", "/{a,b}{"])
def test_a_group_must_end(text: str) -> None:
    with pytest.raises(IllegalArgument, match="Illegal file pattern: Unclosed group near index"):
        expand_braces(text)


def test_braces_have_a_bound() -> None:
    with pytest.raises(IllegalArgument, match="more than 10000 combinations"):
        expand_braces("{a,b}" * 20)


@pytest.mark.parametrize(
    ("text", "pattern"),
    [("/a/b", False), (r"/a\*", False), (r"/a\\*", True), ("/a]}", False), ("/a?", True), ("/{a", True), ("/[a", True)],
)
def test_what_counts_as_a_pattern(text: str, pattern: bool) -> None:
    assert is_pattern(text) is pattern


@given(st.text(st.sampled_from("ab*?[]{},\\^!-."), max_size=12))
def test_an_escaped_name_matches_itself_only(name: str) -> None:
    escaped = "".join(f"\\{letter}" for letter in name)
    assert not is_pattern(escaped)
    assert unescape(escaped) == name
    assert compile_component(escaped, escaped).fullmatch(name)
    assert not compile_component(escaped, escaped).fullmatch(name + "x")


@given(st.text(st.sampled_from("ab*?"), max_size=8), st.text(st.sampled_from("ab.\n"), max_size=8))
def test_stars_and_question_marks_are_those_of_fnmatch(pattern: str, name: str) -> None:
    assert bool(compile_component(pattern, pattern).fullmatch(name)) == fnmatch.fnmatchcase(name, pattern)


@pytest.mark.parametrize(
    ("text", "authority", "path"),
    [
        ("hdfs://h:1/a", "hdfs://h:1", "/a"),
        ("hdfs://h:1", "hdfs://h:1", "/"),
        ("hdfs://h:1/h", "hdfs://h:1", "/h"),
        ("hdfs://h:1/a?b#c", "hdfs://h:1", "/a?b#c"),
        ("hdfs:///a", "hdfs://", "/a"),
        ("/a/b://c", "", "/a/b://c"),
        ("a", "", "a"),
    ],
)
def test_a_question_mark_in_a_url_belongs_to_the_path(text: str, authority: str, path: str) -> None:
    assert authority_and_path(text) == (authority, path)


@pytest.mark.parametrize(
    ("text", "path"),
    [
        ("", "/user/ann"),
        (".", "/user/ann"),
        ("..", "/user"),
        ("a/./b/", "/user/ann/a/b"),
        ("a/../b", "/user/ann/b"),
        ("/a//b/../c", "/a/c"),
        ("/", "/"),
        ("hdfs://h:1/x/*?", "/x/*?"),
        ("/../a", "/../a"),
    ],
)
def test_paths_are_absolute_and_plain(text: str, path: str) -> None:
    with Client(ClientOptions.from_url("seamless://ann@h:1")) as client:
        assert absolute(client, text) == path
