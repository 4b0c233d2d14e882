"""Slots in memory that a datanode and a reader on its machine share: each tells of one replica.

Shape: a segment is a row of slots of 64 bytes; the first eight are a word of the machine's own byte order

    bit 63        valid: set by the reader before it names the slot, cleared by the datanode when the replica must not
                  be used for new reads, and by the reader when it is through with it
    bit 62        anchorable: the replica is locked in memory and may be used without checking it. Never set here:
                  nothing is locked in memory
    bits 30..0    anchors: uses that rely on that now
"""

from __future__ import annotations

SEGMENT_BYTES = 8192
"""As HDFS's datanodes make them; readers go by the size of what they get."""

SLOT_BYTES = 64
_WORDS_A_SLOT = SLOT_BYTES // 8

VALID = 1 << 63
ANCHORABLE = 1 << 62
ANCHORS = (1 << 31) - 1


class Slots:
    """The slots of one segment.

    Nothing in it is trusted: another process may write anything there at any time. A word is read and written by one
    load or store; no two sides change a slot at the same time as long as no slot is anchorable.

    Owner: whoever mapped the memory; `release` before it is unmapped.
    """

    def __init__(self, memory: memoryview) -> None:
        size = len(memory) - len(memory) % SLOT_BYTES
        self.count = size // SLOT_BYTES
        self._bytes = memory[:size]
        self._words = self._bytes.cast("Q")

    def claim(self, index: int) -> None:
        """Marks a free slot as valid and nothing else."""
        self._words[index * _WORDS_A_SLOT] = VALID

    def revoke(self, index: int) -> None:
        """Says that the replica is not to be used for new reads."""
        self._words[index * _WORDS_A_SLOT] &= ~VALID

    def is_valid(self, index: int) -> bool:
        return bool(self._words[index * _WORDS_A_SLOT] & VALID)

    def is_anchorable(self, index: int) -> bool:
        return bool(self._words[index * _WORDS_A_SLOT] & ANCHORABLE)

    def anchors(self, index: int) -> int:
        """Uses that rely on the replica being in memory; none once it is not valid."""
        word = self._words[index * _WORDS_A_SLOT]
        return word & ANCHORS if word & VALID else 0

    def release(self) -> None:
        """Gives the memory back; the slots cannot be used any more."""
        self._words.release()
        self._bytes.release()
