"""Random programs from a seed: few names, so that calls meet; a rough idea of what is there, so that most get far."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from tests.diff import writers
from tests.diff.believed import DEPTH_MAX, MODES, UMASKS, Believed
from tests.diff.program import Program


def generate(seed: int, length: int) -> Program:
    """A program of that many steps, or a few more. The same seed makes the same one."""
    believed = Believed(seed)
    weights = [weight for _, weight in CALLS]
    while len(believed.program) < length:
        ((make, _),) = believed.random.choices(CALLS, weights)
        make(believed)
    return believed.program


def mkdirs(g: Believed) -> None:
    path, umask = g.new_path(), g.random.choice(UMASKS)
    mode = g.random.choice(MODES) if g.chance(0.3) else 0o777 & ~umask
    g.change(g.user(), "mkdirs", src=path, masked=mode, createParent=g.chance(0.8))
    if path.count("/") <= DEPTH_MAX and path.isascii():
        g.directories.append(path.rstrip("/"))


def rename(g: Believed) -> None:
    source, target = g.below(), g.new_path() if g.chance(0.6) else g.known_path()
    g.change(g.user(), "rename", src=source, dst=target)
    g.moved(source, target)


def rename2(g: Believed) -> None:
    source, target = g.below(), g.new_path() if g.chance(0.6) else g.known_path()
    extra = {"moveToTrash": True} if g.chance(0.1) else {}
    g.change(g.user(), "rename2", src=source, dst=target, overwriteDest=g.chance(0.5), **extra)
    g.moved(source, target)


def delete(g: Believed) -> None:
    path = g.below()
    g.change(g.user(), "delete", src=path, recursive=g.chance(0.6))
    if path not in ("/", ""):
        g.forget(path)


def set_permission(g: Believed) -> None:
    g.change(g.user(), "setPermission", src=g.path(), permission=g.random.choice(MODES))


def set_owner(g: Believed) -> None:
    name = g.random.choice((None, "alice", "bob", "root", "", "nobody"))
    group = g.random.choice((None, "shared", "staff", "crew", "", "nogroup"))
    g.change(g.user(), "setOwner", src=g.path(), username=name, groupname=group)


def set_times(g: Believed) -> None:
    def when() -> int:
        return g.random.choice((-1, 0, 1, -2, 1 << 62, g.random.randrange(1 << 36), g.random.randrange(1 << 36)))

    g.change(g.user(), "setTimes", src=g.path(), mtime=when(), atime=when())


def set_replication(g: Believed) -> None:
    g.change(
        g.user(), "setReplication", src=g.path(), replication=g.random.choice((1, 2, 3, 3, 5, 0, 512, 513, 40_000))
    )


def policy(g: Believed) -> None:
    names = ("HOT", "WARM", "ALL_SSD", "ONE_SSD", "hot", "nope", "")
    which = g.random.random()
    if which < 0.5:
        g.change(g.user(), "setStoragePolicy", src=g.path(), policyName=g.random.choice(names))
    elif which < 0.8:
        g.change(g.user(), "unsetStoragePolicy", src=g.path())
    else:
        g.add(g.user(), "getStoragePolicy", path=g.path())


def again(g: Believed) -> None:
    if g.changes:
        g.add("root", "again", of=g.random.choice(g.changes[-6:]))


def listing(g: Believed) -> None:
    start = g.random.choice(("", "", "a", "b", "aa", "zz", "ü", f"/.reserved/.inodes/{{{g.some_file().name}}}"))
    path = g.directory() if g.chance(0.6) else g.path()
    g.add(g.user(), "getListing", src=path, startAfter=start, needLocation=g.chance(0.4))


def locations(g: Believed) -> None:
    offset = g.random.choice((0, 0, 1, 100, 512, 1024, 1025, 2048, 1 << 40, -1))
    length = g.random.choice(((1 << 63) - 1, 1, 0, 1024, 100, -1))
    g.add(g.user(), "getBlockLocations", src=g.path(), offset=offset, length=length)


def by_path(call: str, key: str = "src", **fields: Any) -> Callable[[Believed], None]:
    """A call whose request names a path and little else."""
    return lambda g: g.add(g.user(), call, **{key: g.path()}, **fields) and None


def check_access(g: Believed) -> None:
    g.add(g.user(), "checkAccess", path=g.path(), mode=g.random.randrange(8))


def symlink(g: Believed) -> None:
    g.change(g.user(), "createSymlink", target=g.path(), link=g.new_path(), dirPerm=0o755, createParent=False)


def service(g: Believed) -> None:
    calls: tuple[tuple[str, dict[str, Any]], ...] = (
        ("msync", {}),
        ("getDatanodeReport", {"type": 2}),
        ("listEncryptionZones", {"id": 0}),
        ("getDelegationToken", {"renewer": "root"}),
        ("getDataEncryptionKey", {}),
        ("setSafeMode", {"action": 3}),
    )
    call, fields = g.random.choice(calls)
    g.add(g.user(), call, **fields)


CALLS: tuple[tuple[Callable[[Believed], None], float], ...] = (
    (writers.create, 13), (writers.add_block, 6), (writers.write, 2), (writers.complete, 6), (writers.abandon, 2),
    (writers.fsync, 3), (writers.new_stamp, 3), (writers.lease, 2), (writers.recover, 0.3), (mkdirs, 9),
    (rename, 4), (rename2, 5), (delete, 5), (set_permission, 5), (set_owner, 3),
    (set_times, 6), (set_replication, 2), (policy, 2), (again, 3), (listing, 5), (locations, 4), (check_access, 2),
    (by_path("getFileInfo"), 5), (by_path("getFileLinkInfo"), 1), (by_path("getLocatedFileInfo"), 1.5),
    (by_path("getContentSummary", "path"), 2), (by_path("getQuotaUsage", "path"), 1),
    (by_path("getPreferredBlockSize", "filename"), 1), (by_path("getEZForPath"), 0.3),
    (by_path("getErasureCodingPolicy"), 0.3), (symlink, 0.3), (service, 0.5),
)  # fmt: skip
