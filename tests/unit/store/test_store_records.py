from __future__ import annotations

import uuid

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from seamlessfs.model.errors import CorruptStore
from seamlessfs.model.ids import BlockId, GenerationStamp, InodeId, PolicyId, PoolId, StorageId, Txid, storage_hint
from seamlessfs.model.policy import BUILT_IN_POLICIES
from seamlessfs.store import keys, records
from seamlessfs.store.policy_record import decode_policy, encode_policy
from seamlessfs.store.records import BlockRecord, BlockState, ClusterIdentity, Counters, Directory, File, Totals

u63 = st.integers(0, (1 << 63) - 1)
u32 = st.integers(0, (1 << 32) - 1)
name = st.text(max_size=60)
few = settings(max_examples=60, deadline=None, derandomize=True)

directories = st.builds(
    Directory, u63, st.integers(0, 0o1777), name, name, u63, u63, st.integers(0, 65535), st.integers(0, 255),
    st.builds(Totals, u63, u63, u63, u63), st.integers(0, (1 << 32) - 1), st.just(9),
)  # fmt: skip
files = st.builds(
    File, u63, st.integers(0, 0o1777), name, name, u63, u63, st.integers(0, 65535), st.integers(0, 255),
    st.integers(0, 512), u63, u63, st.lists(u63, max_size=20).map(tuple), name, st.just(""), st.just(9),
)  # fmt: skip
blocks = st.builds(
    BlockRecord, st.just(5), u63, u63, u63, st.sampled_from(BlockState), u63, name, name,
    st.lists(name, max_size=6).map(tuple), st.just(9), st.lists(u32, max_size=6).map(tuple),
)  # fmt: skip


@few
@given(st.one_of(directories, files))
def test_an_inode_comes_back_as_it_was(record: records.Inode) -> None:
    assert records.decode_inode(records.encode_inode(record, Txid(9))) == record
    assert records.decode_removed(records.encode_removed(record, Txid(3))) == record._replace(txid=Txid(3))


@few
@given(blocks)
def test_a_block_comes_back_as_it_was(record: BlockRecord) -> None:
    assert records.decode_block(BlockId(5), records.encode_block(record, Txid(9))) == record


def test_what_is_left_of_a_block_record_that_was_cut_is_corrupt() -> None:
    block = BlockRecord(BlockId(5), InodeId(1), GenerationStamp(2), 3, BlockState.COMPLETE, hints=(7, 8))
    whole = records.encode_block(block, Txid(1))
    for cut in (1, 2, 3, 5):
        with pytest.raises(CorruptStore, match="block 5"):
            records.decode_block(BlockId(5), whole[:-cut])


def test_a_complete_block_with_four_replicas_takes_less_than_a_hundred_bytes() -> None:
    pipeline = tuple(StorageId(f"DS-{uuid.UUID(int=number)}") for number in range(4))
    stamp = GenerationStamp(1001)
    block = BlockRecord(BlockId(5), InodeId(1), stamp, 3, BlockState.COMMITTED, 4, "home", "peer", pipeline)
    done = block.completed()
    assert len(records.encode_block(done, Txid(1))) < 100
    assert (done.hints, done.pipeline) == (tuple(map(storage_hint, pipeline)), ())
    assert done.completed() == done


def test_a_value_tells_whether_its_block_is_complete() -> None:
    block = BlockRecord(BlockId(5), InodeId(1), GenerationStamp(1), 3, BlockState.COMMITTED)
    for state in BlockState:
        value = records.encode_block(block._replace(state=state), Txid(1))
        assert records.is_complete(value) is (state is BlockState.COMPLETE)
    assert not records.is_complete(None)


def test_small_records_come_back() -> None:
    counters = Counters(InodeId(1), BlockId(2), GenerationStamp(3), 4)
    identity = ClusterIdentity("CID-é", PoolId("BP-1"), 5, 6)
    assert records.decode_counters(records.encode_counters(counters, Txid(1))) == counters
    assert records.decode_count(records.encode_count(1 << 40, Txid(1))) == 1 << 40
    assert records.decode_identity(records.encode_identity(identity, Txid(1))) == identity
    assert records.decode_retry(records.encode_retry(b"\0x", Txid(1))) == b"\0x"
    for policy in BUILT_IN_POLICIES:
        assert decode_policy(encode_policy(policy, Txid(1))) == policy


def test_a_plain_file_takes_less_than_a_hundred_bytes() -> None:
    file = File(
        InodeId(20000), 0o644, "alice", "staff", 1, 2, PolicyId(16), PolicyId(0), 4, 128 << 20, 999,
        (BlockId((1 << 30) + 5),),
    )  # fmt: skip
    assert len(records.encode_inode(file, Txid(1))) < 100


@pytest.mark.parametrize(
    "read",
    [
        records.decode_inode,
        lambda value: records.decode_block(BlockId(1), value),
        records.decode_removed,
        records.decode_counters,
        records.decode_count,
        records.decode_identity,
        records.decode_retry,
        decode_policy,
    ],
)
def test_a_record_of_another_kind_or_version_is_corrupt(read: object) -> None:
    for value in (b"\x2f" + bytes(40), b""):
        with pytest.raises(CorruptStore, match="newer version"):
            read(value)  # type: ignore[operator]


@few
@given(st.one_of(directories, files), st.data())
def test_an_inode_that_was_cut_short_is_corrupt(record: records.Inode, data: st.DataObject) -> None:
    whole = records.encode_inode(record, Txid(9))
    cut = data.draw(st.integers(0, len(whole) - 1))
    with pytest.raises(CorruptStore):
        records.decode_inode(whole[:cut])


def test_keys_sort_and_can_be_read_back() -> None:
    parent = InodeId(16385)
    ordered = [keys.entry(parent, n) for n in (b"", b"B", b"a", b"a\xff", b"b")]
    assert ordered == sorted(ordered)
    start, stop = keys.entries(parent)
    assert all(start <= key < stop for key in ordered)
    assert keys.entry(InodeId(16386), b"") >= stop
    after, _ = keys.entries_after(parent, b"a")
    assert [key for key in ordered if key >= after] == ordered[3:]
    assert keys.entry_name(ordered[2]) == b"a"
    assert keys.read_pointer(keys.pointer(parent, b"x")) == (parent, b"x")
    assert keys.read_lease(keys.lease("DFSClient_é", parent)) == ("DFSClient_é", parent)
    assert keys.read_retry(keys.retry(7, b"client", -3)) == (7, b"client", -3)
    assert keys.read_removed(keys.removed(parent)) == parent
    first, last = keys.leases("a")
    assert first <= keys.lease("a", InodeId((1 << 63) - 1)) < last <= keys.lease("ab", InodeId(0))


def test_no_key_is_longer_than_the_store_takes() -> None:
    longest = [
        keys.entry(InodeId(1), b"x" * 255),
        keys.lease("h" * keys.HOLDER_BYTES_MAX, InodeId(1)),
        keys.retry(1, b"c" * 255, 1),
    ]
    assert max(map(len, longest)) <= keys.KEY_BYTES_MAX
