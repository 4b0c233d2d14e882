from __future__ import annotations

from collections.abc import Callable

import pytest

from seamlessfs.model.errors import (
    AccessDenied,
    FileNotFound,
    FilesystemError,
    IllegalArgument,
    RemoteIOError,
    UnsupportedOperation,
)
from seamlessfs.model.principal import Principal
from seamlessfs.namespace.context import NamespaceLimits
from tests.support.namespace_harness import ROOT, Harness

ALICE = Principal("alice", ("staff", "dev"))


@pytest.fixture
def h() -> Harness:
    return Harness()


def call(h: Harness, name: str, *arguments: object, caller: Principal = ROOT) -> object:
    return h.run(lambda tx: getattr(h.namespace, name)(tx, h.ctx(caller), *arguments))


def policy_of(h: Harness, path: str) -> int:
    return h.namespace.get_storage_policy(h.view(), h.ctx(), path)


def test_only_owners_change_modes_and_only_superusers_give_away(h: Harness) -> None:
    h.mkdirs("/s", 0o777)
    h.write_file("/s/f", (1,), caller=ALICE)
    call(h, "set_permission", "/s/f", 0o7600, caller=ALICE)
    call(h, "set_owner", "/s/f", None, "dev", caller=ALICE)
    call(h, "set_owner", "/s/f", "alice", None, caller=ALICE)
    info = h.info("/s/f")
    assert info is not None
    assert (info.permission, info.owner, info.group) == (0o1600, "alice", "dev")
    refusals: list[tuple[Callable[[], object], str]] = [
        (lambda: call(h, "set_permission", "/s", 0, caller=ALICE), "user=alice is not the owner of inode=/s"),
        (
            lambda: call(h, "set_owner", "/s/f", "bob", None, caller=ALICE),
            "User alice is not a super user (non-super user cannot change owner).",
        ),
        (lambda: call(h, "set_owner", "/s/f", None, "wheel", caller=ALICE), "User alice does not belong to wheel"),
    ]
    for refusal, text in refusals:
        with pytest.raises(AccessDenied) as caught:
            refusal()
        assert text in caught.value.message
    with pytest.raises(AccessDenied, match=r"User alice does not belong to $"):
        call(h, "set_owner", "/s/f", None, "", caller=ALICE)
    call(h, "set_owner", "/s/f", "bob", "wheel")
    with pytest.raises(FileNotFound, match=r"^Directory/File does not exist /none$"):
        call(h, "set_permission", "/none", 0)
    with pytest.raises(IllegalArgument, match="255 bytes are allowed"):
        call(h, "set_owner", "/s/f", "x" * 256, None)


def test_new_inodes_belong_to_the_caller_and_the_parents_group(h: Harness) -> None:
    h.mkdirs("/s", 0o777)
    call(h, "set_owner", "/s", None, "team")
    h.mkdirs("/s/d/e", caller=ALICE)
    h.create("/s/p/f", caller=ALICE)
    for path in ("/s/d", "/s/d/e", "/s/p", "/s/p/f"):
        info = h.info(path)
        assert info is not None
        assert (info.owner, info.group) == ("alice", "team")


@pytest.mark.parametrize("directory", [True, False])
def test_times_are_set_and_kept(h: Harness, directory: bool) -> None:
    if directory:
        h.mkdirs("/x")
    else:
        h.write_file("/x", (3,))
    call(h, "set_times", "/x", 500, -1)
    call(h, "set_times", "/x", -1, 700)
    info = h.info("/x")
    assert info is not None
    assert (info.modified_at_ms, info.accessed_at_ms) == (500, 700)
    with pytest.raises(FileNotFound, match=r"^File/Directory /none does not exist\.$"):
        call(h, "set_times", "/none", 1, 1)
    with pytest.raises(IllegalArgument, match="out of range"):
        call(h, "set_times", "/x", 1 << 63, -1)


def test_times_set_in_the_batch_of_a_create_win_over_it(h: Harness) -> None:
    h.mkdirs("/d")
    h.now_ms += 1000
    h.gather(lambda tx: h.namespace.mkdirs(tx, h.ctx(), "/d/new", 0o755))
    call(h, "set_times", "/d", 42, -1)
    info = h.info("/d")
    assert info is not None
    assert (info.modified_at_ms, info.children) == (42, 1)


def test_a_directory_changes_its_time_with_its_entries(h: Harness) -> None:
    h.mkdirs("/d/e")

    def modified() -> int:
        info = h.info("/d")
        assert info is not None
        return info.modified_at_ms

    for change in (
        lambda: h.create("/d/f"),
        lambda: call(h, "rename", "/d/f", "/d/g"),
        lambda: h.delete("/d/g"),
        lambda: h.mkdirs("/d/h"),
    ):
        h.now_ms += 10
        change()
        assert modified() == h.now_ms
    h.now_ms += 10
    h.mkdirs("/d/e/deeper")
    assert modified() == h.now_ms - 10


def test_access_times_move_by_the_precision(h: Harness) -> None:
    inode_id = h.write_file("/f", (5,))
    assert not h.namespace.get_blocks(h.view(), h.ctx(), "/f").access_time_due
    h.now_ms += h.limits.access_time_precision_ms + 1
    assert h.namespace.get_blocks(h.view(), h.ctx(), "/f").access_time_due
    call(h, "record_access", inode_id)
    assert not h.namespace.get_blocks(h.view(), h.ctx(), "/f").access_time_due
    info = h.info("/f")
    assert info is not None
    assert info.accessed_at_ms == h.now_ms


def test_the_nearest_directorys_policy_is_stamped_at_create(h: Harness) -> None:
    h.mkdirs("/a/b")
    call(h, "set_storage_policy", "/a", "idc_2_2_async")
    call(h, "set_storage_policy", "/a/b", "IDC_NONE")
    stamps = {}
    for path in ("/f", "/a/f", "/a/b/f", "/tmp/f"):
        h.write_file(path, (10,), replication=3)
        info = h.info(path)
        assert info is not None
        stamps[path] = (info.policy_id, info.replication)
    assert stamps == {"/f": (16, 4), "/a/f": (17, 4), "/a/b/f": (19, 3), "/tmp/f": (18, 2)}
    call(h, "unset_storage_policy", "/a/b")
    assert policy_of(h, "/a/b") == 17
    assert policy_of(h, "/a/b/f") == 19
    call(h, "unset_storage_policy", "/")
    assert policy_of(h, "/") == 16
    explicit = h.create("/f2", policy="IDC_LOCAL_2")
    assert (explicit.policy_id, explicit.replication) == (18, 2)


def test_hdfs_policies_stand_beside_and_change_nothing(h: Harness) -> None:
    h.mkdirs("/hbase")
    call(h, "set_storage_policy", "/hbase", "IDC_2_2_ASYNC")
    call(h, "set_storage_policy", "/hbase", "HOT")
    assert policy_of(h, "/hbase") == 17
    h.write_file("/hbase/f", (1,))
    call(h, "set_storage_policy", "/hbase/f", "COLD")
    assert policy_of(h, "/hbase/f") == 17
    with pytest.raises(IllegalArgument, match="Cannot find a block policy with the name NONE_SUCH"):
        call(h, "set_storage_policy", "/hbase", "NONE_SUCH")
    with pytest.raises(FileNotFound, match="File/Directory does not exist: /none"):
        call(h, "set_storage_policy", "/none", "HOT")


def test_a_file_is_restamped_only_where_its_replicas_can_stay(h: Harness) -> None:
    h.write_file("/f", (10,))
    call(h, "set_storage_policy", "/f", "IDC_2_2_ASYNC")
    assert policy_of(h, "/f") == 17
    with pytest.raises(UnsupportedOperation, match="was written under IDC_2_2_ASYNC and IDC_LOCAL_2 wants"):
        call(h, "set_storage_policy", "/f", "IDC_LOCAL_2")
    h.write_file("/empty")
    call(h, "set_storage_policy", "/empty", "IDC_LOCAL_2")
    info = h.info("/empty")
    assert info is not None
    assert info.replication == 2


def test_replication_is_the_policys_affair(h: Harness) -> None:
    h.write_file("/f", (10,))
    h.mkdirs("/n")
    call(h, "set_storage_policy", "/n", "IDC_NONE")
    h.write_file("/n/f", (10,), replication=2)
    answers = [
        call(h, "set_replication", path, n) for path, n in (("/f", 10), ("/f", 4), ("/n/f", 5), ("/n", 3), ("/none", 3))
    ]
    assert answers == [False, True, True, False, False]
    summary = h.namespace.get_content_summary(h.view(), h.ctx(), "/n")
    assert summary.space_consumed == 50
    with pytest.raises(RemoteIOError, match="Requested replication factor of 513 exceeds maximum of 512 for /f"):
        call(h, "set_replication", "/f", 513)
    with pytest.raises(RemoteIOError, match="is less than the required minimum of 1 for /f"):
        call(h, "set_replication", "/f", 0)
    with pytest.raises(RemoteIOError, match=r"exceeds maximum of 512 for /n/g, clientName=127\.1\.1\.1"):
        h.create("/n/g", replication=600)
    with pytest.raises(RemoteIOError, match="is less than the required minimum of 1 for /g, clientName="):
        h.create("/g", replication=0)


def test_callers_without_rights_are_refused_everywhere(h: Harness) -> None:
    h.write_file("/s/f", (1,))
    h.write_file("/tmp/f")
    h.mkdirs("/closed/d", 0o700)
    call(h, "set_permission", "/closed", 0o700)
    denied: dict[str, Callable[[], object]] = {
        'access=WRITE, inode="/s"': lambda: h.create("/s/new", caller=ALICE),
        'access=WRITE, inode="/tmp/f"': lambda: h.create("/tmp/f", overwrite=True, caller=ALICE),
        'access=EXECUTE, inode="/closed"': lambda: h.info("/closed/d", caller=ALICE),
        'access=READ_EXECUTE, inode="/closed"': lambda: h.namespace.get_listing(h.view(), h.ctx(ALICE), "/closed"),
        'access=WRITE, inode="/"': lambda: h.mkdirs("/new", caller=ALICE),
    }
    denied |= {
        'user=alice, access=WRITE, inode="/s"': lambda: call(h, "delete", "/s/f", False, caller=ALICE),
        'user=alice, access=WRITE, inode="/s":root': lambda: call(h, "rename", "/s/f", "/tmp/g", caller=ALICE),
        'access=READ_EXECUTE, inode="/closed":root': lambda: h.namespace.get_content_summary(
            h.view(), h.ctx(ALICE), "/closed"
        ),
        'access=READ_WRITE, inode="/s/f"': lambda: h.namespace.check_access(h.view(), h.ctx(ALICE), "/s/f", 6),
    }
    for text, action in denied.items():
        with pytest.raises(AccessDenied) as caught:
            action()
        assert text in caught.value.message
    h.namespace.check_access(h.view(), h.ctx(ALICE), "/s/f", 4)
    with pytest.raises(FileNotFound, match=r"^Path not found$"):
        h.namespace.check_access(h.view(), h.ctx(ALICE), "/none", 4)


def test_a_recursive_delete_asks_every_directory_below(h: Harness) -> None:
    h.mkdirs("/tmp/mine", 0o777, caller=ALICE)
    h.mkdirs("/tmp/mine/roots", 0o755)
    call(h, "set_owner", "/tmp/mine/roots", "root", None)
    assert call(h, "delete", "/tmp/mine", True, caller=ALICE)
    h.mkdirs("/tmp/mine", 0o777, caller=ALICE)
    h.mkdirs("/tmp/mine/roots", 0o755)
    h.write_file("/tmp/mine/roots/f", (1,))
    for action in (
        lambda: call(h, "delete", "/tmp/mine", True, caller=ALICE),
        lambda: h.namespace.check_delete(h.view(), h.ctx(ALICE), "/tmp/mine"),
    ):
        with pytest.raises(AccessDenied, match='access=ALL, inode="/tmp/mine/roots"'):
            action()
    with pytest.raises(AccessDenied, match='Permission denied by sticky bit: user=bob, path="/tmp/mine"'):
        call(h, "delete", "/tmp/mine", True, caller=Principal("bob"))


def test_with_permissions_off_nobody_is_asked() -> None:
    h = Harness(NamespaceLimits(permissions_enabled=False, block_bytes_min=1))
    h.mkdirs("/s", 0)
    h.write_file("/s/f", (1,), caller=ALICE)
    assert call(h, "delete", "/s", True, caller=ALICE)
    with pytest.raises(FilesystemError):
        call(h, "set_permission", "/s", 0, caller=ALICE)
