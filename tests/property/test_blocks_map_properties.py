"""The block map against a dictionary of sets."""

from hypothesis import given, settings
from hypothesis import strategies as st

from seamlessfs.blocks.block_map import PAGE_BLOCKS, BlockMap
from seamlessfs.model.ids import BlockId, GenerationStamp

ids = st.sampled_from([1 << 30, (1 << 30) + 1, (1 << 30) + PAGE_BLOCKS - 1, (1 << 30) + PAGE_BLOCKS, 1 << 40])
storages = st.sampled_from([1, 2, 3, 4, 5, 6, 7, 65_535])
steps = st.lists(st.tuples(st.sampled_from(["add", "remove", "forget"]), ids, storages), max_size=80)


@settings(max_examples=200, derandomize=True, deadline=None)
@given(steps)
def test_behaves_as_a_dictionary_of_sets(operations: list[tuple[str, int, int]]) -> None:
    block_map, model = BlockMap(), {}
    for name, number, storage in operations:
        block_id = BlockId(number)
        if name == "add":
            if block_id not in block_map:
                block_map.set_version(block_id, GenerationStamp(1001), number % 77)
            assert block_map.add(block_id, storage) == (storage not in model.setdefault(block_id, set()))
            model[block_id].add(storage)
        elif name == "remove":
            assert block_map.remove(block_id, storage) == (storage in model.get(block_id, set()))
            model.get(block_id, set()).discard(storage)
        else:
            assert set(block_map.forget(block_id)) == model.pop(block_id, set())
    assert len(block_map) == len(model)
    for block_id, held in model.items():
        found = block_map.replicas_of(block_id)
        assert len(found) == len(held)
        assert set(found) == held
        assert block_map.version(block_id) == (1001, block_id % 77)
    for storage in range(1, 8):
        owned = sorted(block_id for block_id, held in model.items() if storage in held)
        assert block_map.blocks_of(storage) == owned
        assert block_map.count_of(storage) == len(owned)
        said = [[1001] * len(owned), [block_id % 77 for block_id in owned], [0] * len(owned)]
        assert block_map.agrees(owned, *said)
        for column in said:
            for at in range(len(owned)):
                column[at] += 1
                assert not block_map.agrees(owned, *said)
                column[at] -= 1
        low, high = (1 << 30) + 1, (1 << 30) + PAGE_BLOCKS
        assert block_map.blocks_of(storage, low, high) == [b for b in owned if low <= b <= high]
    pages = [block_id for page in block_map.page_numbers() for block_id in block_map.blocks_in_page(page)]
    assert pages == sorted(model)
