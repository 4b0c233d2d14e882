"""Permissions that a namenode enforces: the same on stock HDFS and on ours."""

from __future__ import annotations

import pytest

from tests.support.clusters import Cluster
from tests.support.refusals import DENIED, Refusals, World

REFUSALS = Refusals()
refused = REFUSALS.refused


@refused(DENIED, "~/f (is not a directory)")
def status_under_a_file(w: World) -> None:
    w.root.touch("f")
    w.alice.call("getFileInfo", src=w.root.at("f/x"))


@refused(DENIED, 'Permission denied: user=alice, access=WRITE, inode="~":root:supergroup:drwxr-xr-x')
def create_by_another(w: World) -> None:
    w.alice.create("f")


@refused(DENIED, 'Permission denied: user=alice, access=WRITE, inode="~":root:supergroup:drwxr-xr-x')
def delete_by_another(w: World) -> None:
    w.root.touch("f")
    w.alice.delete("f")


@refused(DENIED, 'Permission denied: user=alice, access=WRITE, inode="~":root:supergroup:drwxr-xr-x')
def rename_by_another(w: World) -> None:
    w.root.touch("f")
    w.alice.rename2("f", "g")


@refused(DENIED, 'Permission denied: user=alice, access=READ, inode="~/f":root:supergroup:-rw-------')
def read_by_another(w: World) -> None:
    w.root.touch("f")
    w.root.chmod("f", 0o600)
    w.alice.call("getBlockLocations", src=w.root.at("f"), offset=0, length=1)


@refused(DENIED, 'Permission denied: user=alice, access=EXECUTE, inode="~/d":root:supergroup:drwx------')
def status_behind_a_closed_door(w: World) -> None:
    w.root.mkdirs("d/e", bits=0o700)
    w.alice.call("getFileInfo", src=w.root.at("d/e"))


@refused(DENIED, 'Permission denied: user=alice, access=READ_EXECUTE, inode="~/d":root:supergroup:drwx------')
def listing_by_another(w: World) -> None:
    w.root.mkdirs("d", bits=0o700)
    w.alice.call("getListing", src=w.root.at("d"), startAfter=b"", needLocation=False)


@refused(DENIED, "Permission denied. user=alice is not the owner of inode=~/f")
def chmod_by_another(w: World) -> None:
    w.root.touch("f")
    w.alice.chmod("f", 0o777)


@refused(DENIED, "Permission denied. user=alice is not the owner of inode=~/f")
def chown_by_another(w: World) -> None:
    w.root.touch("f")
    w.alice.call("setOwner", src=w.root.at("f"), username="alice")


@refused(DENIED, "User alice is not a super user (non-super user cannot change owner).")
def giving_a_file_away(w: World) -> None:
    w.root.mkdirs("d", bits=0o777)
    w.alice.touch("d/f")
    w.alice.call("setOwner", src=w.root.at("d/f"), username="bob")


@refused(DENIED, "User alice does not belong to supergroup")
def giving_a_file_to_a_foreign_group(w: World) -> None:
    w.root.mkdirs("d", bits=0o777)
    w.alice.touch("d/f")
    w.alice.call("setOwner", src=w.root.at("d/f"), groupname="supergroup")


@refused(
    DENIED,
    'Permission denied by sticky bit: user=bob, path="~/d/f":alice:supergroup:-rw-r--r--, '
    'parent="~/d":root:supergroup:drwxrwxrwt',
)
def delete_under_a_sticky_bit(w: World) -> None:
    w.root.mkdirs("d", bits=0o777)
    w.root.chmod("d", 0o1777)
    w.alice.touch("d/f")
    w.bob.delete("d/f")


@refused(DENIED, "Access denied for user alice. Superuser privilege is required")
def report_for_another(w: World) -> None:
    w.alice.call("getDatanodeReport", type="LIVE")


@refused(DENIED, 'Permission denied: user=alice, access=WRITE, inode="~/f":root:supergroup:-rw-r--r--')
def access_check(w: World) -> None:
    w.root.touch("f")
    w.alice.call("checkAccess", path=w.root.at("f"), mode="WRITE")


@refused(DENIED, "Access denied for user alice. Superuser privilege is required")
def safe_mode_by_another(w: World) -> None:
    w.alice.call("setSafeMode", action="SAFEMODE_ENTER", checked=False)


@pytest.mark.parametrize("name", REFUSALS)
def test_refused_access(name: str, world: World, cluster: Cluster) -> None:
    REFUSALS.check(name, world, on_stock=not cluster.ours)
