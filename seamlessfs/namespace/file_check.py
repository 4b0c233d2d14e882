"""What of a file's record, its blocks' and its lease's must fit together."""

from __future__ import annotations

from collections.abc import Iterator

from seamlessfs.store import keys
from seamlessfs.store.api import ReadView
from seamlessfs.store.records import BlockState, File, decode_block

_UNFINISHED_MAX = 2
"""Of an open file: the block that is written to, and the one before it, which waits for its replicas."""


def check_file(view: ReadView, file: File) -> Iterator[str]:
    """What is wrong with a file that is in the tree, or in a directory that was removed."""
    if len(set(file.blocks)) != len(file.blocks):
        yield "it lists a block twice"
    length = 0
    states: list[BlockState] = []
    for block_id in file.blocks:
        value = view.get(keys.block(block_id))
        if value is None:
            yield f"its block {block_id} has no row"
            return
        record = decode_block(block_id, value)
        if record.inode_id != file.id:
            yield f"its block {block_id} is that of inode {record.inode_id}"
        length += record.length
        states.append(record.state)
    if length != file.length:
        yield f"it claims {file.length} bytes and its blocks have {length}"
    yield from _check_states(file, states)
    if file.holder is not None and view.get(keys.lease(file.holder, file.id)) is None:
        yield f"it is open for {file.holder!r} and has no lease"


def _check_states(file: File, states: list[BlockState]) -> Iterator[str]:
    unfinished = [i for i, state in enumerate(states) if state is not BlockState.COMPLETE]
    if unfinished and not file.is_open:
        yield f"it is closed and its block {file.blocks[unfinished[0]]} is not complete"
    elif unfinished and unfinished[0] < len(states) - _UNFINISHED_MAX:
        yield f"its block {file.blocks[unfinished[0]]} is not complete and others follow it"
    if any(state is not BlockState.COMMITTED for state in (states[i] for i in unfinished if i < len(states) - 1)):
        yield "a block before the last is still written to"
