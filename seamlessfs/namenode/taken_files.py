"""Files that were taken from their holders and are not closed yet: what each of them waits for."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from seamlessfs.model.ids import BlockId, InodeId

UNREPORTED_MS = 2000
"""Wait for the report of a last block whose length only its gone writer has named; then datanodes are asked for it."""


@dataclass(slots=True)
class TakenFile:
    """A file that was taken from its holder.

    Attributes:
        waiting: committed blocks of it that no datanode has reported yet.
        insisted: whether datanodes were to be asked for the last of them.
        told: the reason that the log has.
    """

    inode_id: InodeId
    block_id: BlockId
    since_mono_ms: int
    waiting: tuple[BlockId, ...] = ()
    insisted: bool = False
    told: str = ""


class TakenFiles:
    """By inode and by the block that they wait for. Owner: the lease recoverer."""

    def __init__(self) -> None:
        self._files: dict[InodeId, TakenFile] = {}
        self._of_block: dict[BlockId, InodeId] = {}
        self._unreported: set[InodeId] = set()

    def __iter__(self) -> Iterator[TakenFile]:
        return iter(self._files.values())

    def __contains__(self, inode_id: InodeId) -> bool:
        return inode_id in self._files

    def get(self, inode_id: InodeId) -> TakenFile | None:
        return self._files.get(inode_id)

    def with_block(self, block_id: BlockId) -> InodeId | None:
        return self._of_block.get(block_id)

    def track(self, inode_id: InodeId, block_id: BlockId, now_ms: int, waiting: tuple[BlockId, ...] = ()) -> None:
        """The file waits for this block: for its recovery, or, with others, for its report."""
        file = self._files.setdefault(inode_id, TakenFile(inode_id, block_id, now_ms))
        file.block_id, file.waiting = block_id, waiting
        self._of_block[block_id] = inode_id
        if waiting:
            self._unreported.add(inode_id)
        else:
            self._unreported.discard(inode_id)

    def settled(self, block_id: BlockId) -> InodeId | None:
        """The block is waited for no more; tells which file it was that waited."""
        return self._of_block.pop(block_id, None)

    def forget(self, inode_id: InodeId) -> TakenFile | None:
        """The file is closed or gone."""
        self._unreported.discard(inode_id)
        file = self._files.pop(inode_id, None)
        if file is not None:
            self._of_block.pop(file.block_id, None)
        return file

    @property
    def some_wait_for_reports(self) -> bool:
        return bool(self._unreported)

    def waiting_for_reports(self) -> list[TakenFile]:
        """The oldest inode first."""
        return [self._files[inode_id] for inode_id in sorted(self._unreported)]

    def overdue(self, now_ms: int) -> list[InodeId]:
        """Files whose reports did not come in time. Each is named once."""
        late = [
            file
            for file in map(self._files.__getitem__, self._unreported)
            if not file.insisted and now_ms - file.since_mono_ms >= UNREPORTED_MS
        ]
        for file in late:
            file.insisted = True
        return sorted(file.inode_id for file in late)
