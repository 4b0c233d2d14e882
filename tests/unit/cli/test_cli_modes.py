"""chmod's modes, against Python's own words for permissions and against chmod(1)."""

from __future__ import annotations

import stat
import subprocess
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from seamlessfs.cli.dfs.item import UsageError
from seamlessfs.cli.dfs.permissions import parse_mode
from seamlessfs.cli.dfs.text import permission_letters

BITS = {
    "u": {"r": stat.S_IRUSR, "w": stat.S_IWUSR, "x": stat.S_IXUSR},
    "g": {"r": stat.S_IRGRP, "w": stat.S_IWGRP, "x": stat.S_IXGRP},
    "o": {"r": stat.S_IROTH, "w": stat.S_IWOTH, "x": stat.S_IXOTH},
}

permissions = st.integers(0, 0o777)
classes = st.lists(st.sampled_from("ugo"), min_size=1, unique=True)
letters = st.lists(st.sampled_from("rwx"), unique=True)


def mask(who: str, what: str) -> int:
    return sum(BITS[each][letter] for each in who for letter in what)


@given(permissions)
def test_letters_are_those_of_stat(permission: int) -> None:
    assert permission_letters(permission) == stat.filemode(stat.S_IFREG | permission)[1:]
    sticky = permission | stat.S_ISVTX
    assert permission_letters(sticky) == stat.filemode(stat.S_IFDIR | sticky)[1:]


@given(permissions, permissions)
def test_octal_replaces_everything_but_the_sticky_bit(before: int, after: int) -> None:
    assert parse_mode(f"{after:03o}")(before, False) == after
    assert parse_mode(f"{after:03o}")(before | stat.S_ISVTX, True) == after | stat.S_ISVTX
    assert parse_mode(f"0{after:03o}")(before | stat.S_ISVTX, True) == after
    assert parse_mode(f"1{after:03o}")(before, True) == after | stat.S_ISVTX


@given(permissions, permissions)
def test_what_letters_show_sets_what_they_showed(before: int, after: int) -> None:
    shown = permission_letters(after).replace("-", "")
    by_class = [permission_letters(after)[i : i + 3].replace("-", "") for i in (0, 3, 6)]
    change = parse_mode("u={},g={},o={}".format(*by_class))
    assert change(before, False) == after, shown


@given(permissions, classes, letters)
def test_plus_minus_and_equals_touch_only_their_bits(before: int, who: list[str], what: list[str]) -> None:
    people, bits = "".join(who), mask("".join(who), "".join(what))
    assert parse_mode(f"{people}+{''.join(what)}")(before, False) == before | bits
    assert parse_mode(f"{people}-{''.join(what)}")(before, False) == before & ~bits
    assert parse_mode(f"{people}={''.join(what)}")(before, False) == before & ~mask(people, "rwx") | bits


@pytest.mark.parametrize(
    "mode",
    ["u+x", "go-w", "a=r", "+x", "=rw", "u=rwx,g=rx,o=", "ug+rw,o-rwx", "u+X", "a+X", "g-rwx,g+r", "o=w,o+r,u-w", "-x"],
)
@pytest.mark.parametrize("before", [0o000, 0o644, 0o750, 0o777, 0o601])
def test_symbols_mean_what_they_mean_to_chmod(mode: str, before: int, tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.touch()
    file.chmod(before)
    subprocess.run(["/bin/sh", "-c", 'umask 0; chmod -- "$0" "$1"', mode, str(file)], check=True)
    assert parse_mode(mode)(before, False) == stat.S_IMODE(file.stat().st_mode)


def test_x_in_capitals_is_for_directories_and_for_what_somebody_may_run() -> None:
    assert parse_mode("a+X")(0o644, True) == 0o755
    assert parse_mode("a+X")(0o644, False) == 0o644
    assert parse_mode("a+X")(0o744, False) == 0o755


@pytest.mark.parametrize(("mode", "after"), [("+t", 0o1755), ("-t", 0o755), ("a=rwxt", 0o1777), ("u=rw", 0o655)])
def test_the_sticky_bit_is_a_letter_too(mode: str, after: int) -> None:
    assert parse_mode(mode)(0o755, True) == after


@pytest.mark.parametrize("mode", ["", "999", "8", "77", "07777", "2755", "u~x", "z+x", "u+q", "u+x,", "rwx", "u+x\n"])
def test_anything_else_is_refused_with_what_was_typed(mode: str) -> None:
    with pytest.raises(UsageError) as caught:
        parse_mode(mode)
    assert str(caught.value) == f"chmod : mode '{mode}' does not match the expected pattern."
