from __future__ import annotations

import pytest

from seamlessfs.model.errors import (
    AccessDenied,
    AlreadyBeingCreated,
    DirectoryNotEmpty,
    DirectoryTooLarge,
    FileAlreadyExists,
    FileNotFound,
    FilesystemError,
    IllegalArgument,
    InvalidPath,
    NameTooLong,
    ParentNotDirectory,
    RecoveryInProgress,
    RemoteIOError,
)
from seamlessfs.model.principal import Principal
from seamlessfs.namespace.context import NamespaceLimits
from tests.support.namespace_harness import IDENTITY, Harness

ALICE = Principal("alice", ("staff",))


@pytest.fixture
def h() -> Harness:
    return Harness()


def refused(h: Harness, call: str, *arguments: object, **options: object) -> FilesystemError:
    """The error of a mutation."""
    with pytest.raises(FilesystemError) as caught:
        h.run(lambda tx: getattr(h.namespace, call)(tx, h.ctx(), *arguments, **options))
    return caught.value


def test_a_new_cluster_has_a_root_and_tmp(h: Harness) -> None:
    assert h.namespace.identity(h.view()) == IDENTITY
    root, tmp = h.info("/"), h.info("/tmp")
    assert root is not None
    assert tmp is not None
    assert (root.inode_id, root.permission, root.flags, root.children, root.policy_id) == (16385, 0o755, 8, 1, 16)
    assert (root.owner, root.group, root.accessed_at_ms, root.replication) == ("root", "supergroup", 0, 0)
    assert (tmp.inode_id, tmp.permission, tmp.policy_id) == (16386, 0o1777, 18)
    assert [policy.name for policy in h.namespace.storage_policies(h.view())] == [
        "IDC_2_2_SYNC",
        "IDC_2_2_ASYNC",
        "IDC_LOCAL_2",
        "IDC_NONE",
    ]
    with pytest.raises(IllegalArgument, match="holds a namespace already"):
        h.run(lambda tx: h.namespace.format(tx, h.ctx(), IDENTITY))


def test_mkdirs_makes_parents_and_may_be_repeated(h: Harness) -> None:
    assert h.mkdirs("/a/b/c", 0o550)
    assert h.mkdirs("/a/b/c/")
    modes = {path: info.permission for path in ("/a", "/a/b", "/a/b/c") if (info := h.info(path))}
    assert modes == {"/a": 0o750, "/a/b": 0o750, "/a/b/c": 0o550}
    h.write_file("/a/f")
    assert refused(h, "mkdirs", "/a/f", 0o755).message == "Path is not a directory: /a/f"
    error = refused(h, "mkdirs", "/a/f/d", 0o755)
    assert (type(error), error.message) == (ParentNotDirectory, "/a/f (is not a directory)")
    error = refused(h, "mkdirs", "/p/q/r", 0o755, create_parent=False)
    assert (type(error), error.message) == (FileNotFound, "Parent directory doesn't exist: /p/q")


@pytest.mark.parametrize(
    ("path", "error"),
    [
        ("zz2", InvalidPath),
        ("", InvalidPath),
        ("/a/../b", InvalidPath),
        ("/a:b", InvalidPath),
        ("/a//b", InvalidPath),
        ("//a", InvalidPath),
        ("/a\0", InvalidPath),
        ("/" + "x" * 8000, RemoteIOError),
        ("/a" * 1001, RemoteIOError),
        ("/" + "x" * 256, NameTooLong),
        ("/a/.snapshot", IllegalArgument),
        ("/.reserved", IllegalArgument),
        ("/.reserved/x", IllegalArgument),
    ],
)
def test_names_that_cannot_be(h: Harness, path: str, error: type[FilesystemError]) -> None:
    assert type(refused(h, "mkdirs", path, 0o755)) is error


def test_what_does_not_exist_has_no_status(h: Harness) -> None:
    assert h.info("/none") is None
    assert h.info("/s/../s") is None
    assert h.info("/" + "x" * 300) is None
    assert h.namespace.get_listing(h.view(), h.ctx(), "/none") is None
    with pytest.raises(InvalidPath, match="Invalid path name zz2"):
        h.info("zz2")
    h.write_file("/f")
    assert h.info("/f/x") is None
    with pytest.raises(AccessDenied, match=r"^/f \(is not a directory\)$"):
        h.info("/f/x", ALICE)


def test_create_refuses_in_hdfs_words(h: Harness) -> None:
    h.write_file("/d/f")
    cases = {
        "/d/f": (FileAlreadyExists, "/d/f for client 127.1.1.1 already exists"),
        "/d": (FileAlreadyExists, "/d already exists as a directory"),
        "/d/f/x": (ParentNotDirectory, "/d/f (is not a directory)"),
    }
    for path, (kind, message) in cases.items():
        with pytest.raises(kind) as caught:
            h.create(path)
        assert caught.value.message == message
    with pytest.raises(FileNotFound, match="Parent directory doesn't exist: /p/q"):
        h.create("/p/q/r", create_parent=False)
    with pytest.raises(InvalidPath):
        h.create("/.reserved/x")
    with pytest.raises(RemoteIOError, match="Specified block size is less than configured minimum value"):
        h.create("/g", block_size=-1)
    with pytest.raises(IllegalArgument, match="Block size 281474976710656 for /g: at most 281474976710655 is possible"):
        h.create("/g", block_size=1 << 48)


def test_an_open_file_is_refused_by_who_has_it(h: Harness) -> None:
    h.create("/p/f", client="D")
    with pytest.raises(AlreadyBeingCreated) as caught:
        h.create("/p/f", client="C")
    expected = "Failed to CREATE_FILE /p/f for C on 127.1.1.1 because this file lease is currently owned by D on "
    assert caught.value.message == expected + "127.1.1.1"
    with pytest.raises(AlreadyBeingCreated, match="because D is already the current lease holder"):
        h.create("/p/f", client="D")
    h.now_ms += h.limits.soft_lease_ms + 1
    with pytest.raises(RecoveryInProgress, match=r"lease recovery is in progress. Try again later\."):
        h.create("/p/f", client="C")
    h.namespace.renew_lease("D", h.now_ms)
    with pytest.raises(AlreadyBeingCreated):
        h.create("/p/f", client="C")


def test_overwriting_ends_the_old_file(h: Harness) -> None:
    old = h.write_file("/f", (10, 5))
    fresh = h.create("/f", client="C", overwrite=True)
    assert fresh.inode_id > old
    assert h.namespace.path_of(h.view(), old) is None
    assert [block.length for block in h.reap_all()] == [10, 5]
    again = h.create("/f", client="E", overwrite=True)
    with pytest.raises(FileNotFound, match="Holder C does not have any open files"):
        h.complete("/f", fresh.inode_id, None, client="C")
    assert h.complete("/f", again.inode_id, None, client="E")
    assert h.names("/") == ["f", "tmp"]


def test_listing_is_paged_in_byte_order(h: Harness) -> None:
    h = Harness(NamespaceLimits(listing_page=3, block_bytes_min=1))
    for name in ("b", "B", "é", "a", "zz", "~", "a1"):
        h.mkdirs(f"/d/{name}")
    seen: list[str] = []
    remaining: list[int] = []
    after = b""
    while True:
        page = h.namespace.get_listing(h.view(), h.ctx(), "/d", after)
        assert page is not None
        seen += [entry.name.decode() for entry in page.entries]
        remaining.append(page.remaining)
        if not page.remaining:
            break
        after = page.entries[-1].name
    assert seen == ["B", "a", "a1", "b", "zz", "~", "é"]
    assert remaining == [4, 1, 0]
    between = h.namespace.get_listing(h.view(), h.ctx(), "/d", b"aa")
    assert between is not None
    assert [entry.name for entry in between.entries] == [b"b", b"zz", b"~"]


def test_a_file_lists_as_itself(h: Harness) -> None:
    h.write_file("/f", (7,))
    page = h.namespace.get_listing(h.view(), h.ctx(), "/f")
    assert page is not None
    assert [(entry.name, entry.length) for entry in page.entries] == [(b"", 7)]
    assert page.remaining == 0


def test_delete_unlinks_at_once_and_the_reaper_does_the_rest(h: Harness) -> None:
    open_id = h.create("/d/open", client="C").inode_id
    files = [h.write_file(f"/d/sub{i}/f", (10, 3)) for i in range(4)]
    error = refused(h, "delete", "/d", False)
    assert (type(error), error.message) == (DirectoryNotEmpty, "`/d is non empty': Directory is not empty")
    assert h.delete("/d")
    assert not h.delete("/d")
    assert not h.delete("/")
    assert h.names("/") == ["tmp"]
    assert h.namespace.path_of(h.view(), files[0]) is None
    assert h.namespace.blocks_of(h.view(), open_id, 1) is None
    assert len(h.reap_all()) == 8
    left = {key[:2] for key, _ in h.view().scan(b"", b"\xff")}
    assert left == {b"C|", b"E|", b"I|", b"P|"}
    assert len(list(h.view().scan(b"I|", b"I}"))) == 2


def test_the_old_rename_answers_with_a_boolean(h: Harness) -> None:
    h.write_file("/a/f", (5,))
    h.mkdirs("/b/c")

    def rename(source: str, target: str) -> bool:
        return h.run(lambda tx: h.namespace.rename(tx, h.ctx(), source, target))

    assert not rename("/none", "/b/x")
    assert not rename("/a", "/a/below")
    assert not rename("/", "/b")
    assert not rename("/a/f", "/no/parent")
    assert rename("/a/f", "/a/f")
    assert rename("/a/f", "/b")
    assert h.names("/b") == ["c", "f"]
    h.write_file("/a/f")
    assert not rename("/a/f", "/b")
    assert not rename("/a/f", "/b/f")
    assert rename("/b", "/a")
    assert h.names("/a/b") == ["c", "f"]
    assert not rename("/a", "/a")
    error = refused(h, "rename", "/a", "/a:b")
    assert (type(error), error.message) == (InvalidPath, "Invalid path name Invalid file name: /a:b")


@pytest.mark.parametrize(
    ("source", "target", "overwrite", "kind", "message"),
    [
        ("/s/none", "/x", False, FileNotFound, "rename source /s/none is not found."),
        ("/s/f", "/nopar/x/y", False, FileNotFound, "rename destination parent /nopar/x/y not found."),
        ("/s/f", "/s/m", False, FileAlreadyExists, "rename destination /s/m already exists"),
        ("/s/f", "/s/f", True, FileAlreadyExists, "The source /s/f and destination /s/f are the same"),
        ("/s/f", "/s/d", True, RemoteIOError, "Source /s/f and destination /s/d must both be directories"),
        ("/s/d", "/s/f", True, RemoteIOError, "Source /s/d and destination /s/f must both be directories"),
        (
            "/s/d",
            "/s/d/e/k",
            False,
            RemoteIOError,
            "Rename destination /s/d/e/k is a directory or file under source /s/d",
        ),
        ("/", "/x", False, RemoteIOError, "rename source cannot be the root"),
        ("/s/d", "/", True, RemoteIOError, "rename destination cannot be the root"),
        ("/s/e", "/s/d", True, RemoteIOError, "rename destination directory is not empty: /s/d"),
        ("/s/f", "rel", False, InvalidPath, "Invalid path name Invalid file name: rel"),
        ("/s/f", "/.reserved", False, InvalidPath, "Invalid path name Cannot rename to or from /.reserved"),
        ("/s/f", "/s/m/x", False, ParentNotDirectory, "/s/m (is not a directory)"),
    ],
)
def test_rename2_refuses_in_hdfs_words(
    h: Harness, source: str, target: str, overwrite: bool, kind: type[FilesystemError], message: str
) -> None:
    h.write_file("/s/f", (5,))
    h.write_file("/s/m")
    h.mkdirs("/s/d/e")
    h.mkdirs("/s/e")
    error = refused(h, "rename2", source, target, overwrite)
    assert (type(error), error.message) == (kind, message)


def test_rename2_replaces_files_and_empty_directories(h: Harness) -> None:
    h.write_file("/s/f", (5,))
    h.write_file("/t/f", (9,))
    h.mkdirs("/s/d/e")
    h.mkdirs("/t/d")
    for name in ("f", "d"):
        h.run(lambda tx, n=name: h.namespace.rename2(tx, h.ctx(), f"/s/{n}", f"/t/{n}", True))  # type: ignore[misc]
    assert h.names("/s") == []
    assert h.names("/t/d") == ["e"]
    assert [block.length for block in h.reap_all()] == [9]
    summary = h.namespace.get_content_summary(h.view(), h.ctx(), "/t")
    assert (summary.length, summary.files, summary.directories) == (5, 1, 3)


def test_a_full_directory_takes_no_more(h: Harness) -> None:
    h = Harness(NamespaceLimits(directory_entries_max=2, block_bytes_min=1))
    h.mkdirs("/a")
    error = refused(h, "mkdirs", "/b", 0o755)
    assert type(error) is DirectoryTooLarge
    assert error.message == "The directory item limit of / is exceeded: limit=2 items=3"


def test_ids_stand_for_paths(h: Harness) -> None:
    h.write_file("/a/b/f", (4,))
    b, f = h.info("/a/b"), h.info("/a/b/f")
    assert b is not None
    assert f is not None
    assert h.info(f"/.reserved/.inodes/{f.inode_id}") == f
    assert h.info(f"/.reserved/.inodes/{b.inode_id}/f") == f
    assert h.info("/.reserved/raw/a/b/f") == f
    assert h.info("/.reserved/.inodes/16385") == h.info("/")
    assert h.names("/.reserved") == [".inodes", "raw"]
    reserved = h.info("/.reserved")
    assert reserved is not None
    assert (reserved.permission, reserved.inode_id) == (0o1770, -1)
    assert h.info("/.reserved/.inodes") is None
    assert h.info("/.reserved/raw") == h.info("/")
    assert h.info(f"/.reserved/.inodes/{f.inode_id}/..") == b
    with pytest.raises(FileNotFound, match="Invalid inode path"):
        h.info("/.reserved/.inodes/1_6385")
    h.mkdirs(f"/.reserved/.inodes/{b.inode_id}/new")
    assert h.names("/a/b") == ["f", "new"]
    h.delete("/a")
    for path in (f"/.reserved/.inodes/{f.inode_id}", f"/.reserved/.inodes/{b.inode_id}/f", "/.reserved/.inodes/99"):
        with pytest.raises(FileNotFound, match="File for given inode path does not exist"):
            h.info(path)


def test_many_operations_share_a_batch_and_a_failed_one_leaves_nothing(h: Harness) -> None:
    before = dict(h.view().scan(b"", b"\xff"))
    ctx = h.ctx()
    h.gather(lambda tx: h.namespace.mkdirs(tx, ctx, "/a/b", 0o755))
    h.gather(lambda tx: h.namespace.mkdirs(tx, ctx, "/a/c", 0o755))

    def fails(tx: object) -> None:
        h.namespace.mkdirs(tx, ctx, "/a/d", 0o755)  # type: ignore[arg-type]
        h.namespace.delete(tx, ctx, "/a/c", True)  # type: ignore[arg-type]
        raise RemoteIOError("on purpose")

    with pytest.raises(RemoteIOError, match="on purpose"):
        h.gather(fails)
    h.gather(lambda tx: h.namespace.rename(tx, ctx, "/a/b", "/tmp/moved"))
    assert dict(h.view().scan(b"", b"\xff")) == before
    h.run(lambda tx: h.namespace.delete(tx, ctx, "/a/c", True))
    assert h.names("/a") == []
    assert h.names("/tmp") == ["moved"]
