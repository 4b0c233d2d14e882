from __future__ import annotations

from typing import NamedTuple

import pytest

from seamlessfs.model.errors import AccessDenied, ParentNotDirectory
from seamlessfs.model.principal import Principal
from seamlessfs.security import permissions
from seamlessfs.security.permissions import Access


class Inode(NamedTuple):
    owner: str = "root"
    group: str = "supergroup"
    mode: int = 0o755
    is_directory: bool = True


ALICE = Principal("alice", ("staff",))
ROOT = Principal("root", superuser=True)


@pytest.mark.parametrize(
    ("mode", "text"),
    [
        (0o755, "rwxr-xr-x"),
        (0o1777, "rwxrwxrwt"),
        (0o1776, "rwxrwxrwT"),
        (0, "---------"),
        (0o640, "rw-r-----"),
    ],
)
def test_modes_are_shown_as_hdfs_shows_them(mode: int, text: str) -> None:
    assert permissions.mode_text(mode) == text


@pytest.mark.parametrize(
    ("inode", "access", "allowed"),
    [
        (Inode("alice", "x", 0o700), Access.ALL, True),
        (Inode("alice", "staff", 0o077), Access.READ, False),
        (Inode("bob", "staff", 0o070), Access.READ_WRITE, True),
        (Inode("bob", "staff", 0o707), Access.READ, False),
        (Inode("bob", "x", 0o004), Access.READ, True),
        (Inode("bob", "x", 0o770), Access.EXECUTE, False),
        (Inode("bob", "x", 0o000), Access.NONE, True),
    ],
)
def test_owner_then_group_then_others(inode: Inode, access: Access, allowed: bool) -> None:
    assert permissions.allows(ALICE, inode, access) is allowed


def test_a_refusal_reads_as_in_hdfs() -> None:
    with pytest.raises(AccessDenied) as caught:
        permissions.check_parent(ALICE, [b"s", b"f"], [Inode(), Inode()], Access.WRITE)
    assert str(caught.value) == 'Permission denied: user=alice, access=WRITE, inode="/s":root:supergroup:drwxr-xr-x'
    with pytest.raises(AccessDenied) as caught:
        permissions.check_owner(ALICE, [b"s", b"d", b"f"], Inode())
    assert str(caught.value) == "Permission denied. user=alice is not the owner of inode=/s/d/f"
    with pytest.raises(AccessDenied) as caught:
        permissions.check_superuser(ALICE)
    assert str(caught.value) == "Access denied for user alice. Superuser privilege is required"


def test_traversal_needs_execute_above_the_last_name_only() -> None:
    closed = Inode(mode=0o700)
    permissions.check_traverse(ALICE, [b"s"], [Inode(), closed])
    with pytest.raises(AccessDenied, match='access=EXECUTE, inode="/s"'):
        permissions.check_traverse(ALICE, [b"s", b"d"], [Inode(), closed])
    permissions.check_traverse(ROOT, [b"s", b"d"], [Inode(), closed])


def test_a_file_on_the_way_stops_even_a_superuser() -> None:
    with pytest.raises(ParentNotDirectory) as caught:
        permissions.check_traverse(ROOT, [b"y.txt", b"z"], [Inode(), Inode(is_directory=False)])
    assert str(caught.value) == "/y.txt (is not a directory)"


def test_the_deepest_ancestor_that_exists_is_asked() -> None:
    open_inode = Inode(mode=0o777)
    permissions.check_ancestor(ALICE, [b"a", b"b", b"c"], [Inode(), open_inode], Access.WRITE)
    with pytest.raises(AccessDenied, match='inode="/":root'):
        permissions.check_ancestor(ALICE, [b"a", b"b", b"c"], [Inode()], Access.WRITE)
    permissions.check_ancestor(ALICE, [], [Inode()], Access.WRITE)


def test_in_a_sticky_directory_only_owners_remove() -> None:
    tmp, of_bob, of_alice = Inode(mode=0o1777), Inode("bob", "b", 0o644, False), Inode("alice", "b", 0o644, False)
    with pytest.raises(AccessDenied) as caught:
        permissions.check_parent(ALICE, [b"tmp", b"f"], [Inode(), tmp, of_bob], Access.WRITE)
    assert str(caught.value) == (
        'Permission denied by sticky bit: user=alice, path="/tmp/f":bob:b:-rw-r--r--, '
        'parent="/tmp":root:supergroup:drwxrwxrwt'
    )
    permissions.check_parent(ALICE, [b"tmp", b"f"], [Inode(), tmp, of_alice], Access.WRITE)
    permissions.check_parent(ROOT, [b"tmp", b"f"], [Inode(), tmp, of_bob], Access.WRITE)


def test_what_does_not_exist_is_not_asked() -> None:
    permissions.check_path(ALICE, [b"a"], [Inode(mode=0)], Access.READ)
    with pytest.raises(AccessDenied, match='access=READ, inode="/a"'):
        permissions.check_path(ALICE, [b"a"], [Inode(), Inode(mode=0)], Access.READ)
