"""What the model does when writers ask: blocks, their pipelines, synced lengths, and the end of a file."""

from __future__ import annotations

from dataclasses import dataclass

from seamlessfs.model.errors import FileNotFound, LeaseExpired, RemoteIOError
from tests.property.namespace_model import BLOCK_BYTES, Block, Model, Node


@dataclass(frozen=True)
class Named:
    """A block as a writer names it: by number and stamp, with a length. Tampered with, it is nobody's."""

    number: int
    stamp: int
    length: int

    def names(self, block: Block) -> bool:
        return (self.number, self.stamp) == (block.number, block.stamp)


class WriterModel(Model):
    """The model with files that are written. `stamps`: those that were given out, by the step that got them."""

    def __init__(self, now: int) -> None:
        super().__init__(now)
        self.stamps: set[int] = set()

    def leased(self, number: int, holder: str) -> Node:
        path = self.by_number(number)
        if path is None:
            raise FileNotFound
        node = self.nodes[path]
        if node.holder != holder:
            raise LeaseExpired
        return node

    def add_block(self, number: int, holder: str, previous: Named | None) -> tuple[int, int]:
        node = self.leased(number, holder)
        if (again := self.repeated(node, previous)) is not None:
            return again.number, again.stamp
        if previous is not None:
            self.commit(node.blocks[-1], previous)
        for block in node.blocks[:-1]:
            block.state = "complete"
        node.blocks.append(Block(self.step, self.step))
        self.stamps.add(self.step)
        return self.step, self.step

    @staticmethod
    def repeated(node: Node, previous: Named | None) -> Block | None:
        """The block that an earlier, identical call got."""
        if not node.blocks:
            if previous is not None:
                raise RemoteIOError
            return None
        last = node.blocks[-1]
        if previous is not None and previous.names(last):
            return None
        if previous is None and last.state != "open" and last.length >= BLOCK_BYTES:
            return None
        before = node.blocks[-2] if len(node.blocks) > 1 else None
        matches = before is None if previous is None else before is not None and previous.names(before)
        if not matches or last.length or last.state == "complete":
            raise RemoteIOError
        return last

    @staticmethod
    def commit(block: Block, given: Named) -> None:
        if block.state != "open":
            return
        if not given.names(block) or not block.length <= given.length <= BLOCK_BYTES:
            raise RemoteIOError
        block.length, block.state = given.length, "committed"

    def abandon_block(self, number: int, holder: str, block: Named) -> bool:
        node = self.leased(number, holder)
        if not node.blocks or node.blocks[-1].number != block.number:
            return False
        node.blocks.pop()
        return True

    def complete(self, number: int, holder: str, last: Named | None, ready: bool) -> bool:
        path = self.by_number(number)
        if path is not None and self.nodes[path].holder is None:
            blocks = self.nodes[path].blocks
            if (not blocks and last is None) or (blocks and last is not None and last.names(blocks[-1])):
                return True
        node = self.leased(number, holder)
        if any(block.state != "complete" for block in node.blocks[:-1]) and not ready:
            return False
        if node.blocks and last is not None:
            self.commit(node.blocks[-1], last)
        waiting = [block for block in node.blocks if block.state != "complete"]
        if any(block.state == "open" or not ready for block in waiting):
            return False
        for block in waiting:
            block.state = "complete"
        node.holder, node.modified = None, self.now
        return True

    def fsync(self, number: int, holder: str, length: int) -> None:
        node = self.leased(number, holder)
        if not node.blocks or node.blocks[-1].state != "open" or length <= node.blocks[-1].length:
            return
        if length > BLOCK_BYTES:
            raise RemoteIOError
        node.blocks[-1].length = length

    def written(self, holder: str, named: Named) -> Block:
        """The block that is being written to."""
        for node in self.nodes.values():
            for block in node.blocks:
                if block.number == named.number:
                    if block.state != "open" or node.holder is None:
                        raise RemoteIOError
                    if node.holder != holder:
                        raise LeaseExpired
                    return block
        raise RemoteIOError

    def update_block_for_pipeline(self, holder: str, named: Named) -> int:
        self.written(holder, named)
        self.stamps.add(self.step)
        return self.step

    def update_pipeline(self, holder: str, old: Named, new: Named) -> None:
        block = self.written(holder, old)
        if (
            new.stamp not in self.stamps
            or new.stamp <= block.stamp
            or not block.length <= new.length <= BLOCK_BYTES
            or new.number != old.number
        ):
            raise RemoteIOError
        block.stamp, block.length = new.stamp, new.length

    def recover(self, number: int, grown: int) -> bool:
        """The writer is gone: its last block keeps what was synced, and what more the replicas have."""
        path = self.by_number(number)
        if path is None or self.nodes[path].holder is None:
            return True
        node = self.nodes[path]
        if node.blocks and node.blocks[-1].state == "open":
            last = node.blocks[-1]
            self.stamps.add(self.step)
            last.length, last.stamp = min(BLOCK_BYTES, last.length + grown), self.step
            if not last.length:
                node.blocks.pop()
        for block in node.blocks:
            block.state = "complete"
        node.holder, node.modified = None, self.now
        return True
