"""The overlay over a store against plain dictionaries: each layer a whole copy, so that nothing can be merged wrong."""

from __future__ import annotations

from dataclasses import dataclass

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, initialize, invariant, precondition, rule

from seamlessfs.model.ids import Txid
from seamlessfs.store import layer
from seamlessfs.store.api import ReadView, Snapshot, Transaction, WriteSet
from seamlessfs.store.memory import MemoryStore
from seamlessfs.store.overlay import Overlay

KEYS = st.sampled_from([bytes([first]) + rest for first in b"abcdef" for rest in (b"", b"\x00", b"\xff", b"x")])
VALUES = st.one_of(st.none(), st.binary(max_size=2))
WRITES = st.lists(st.tuples(KEYS, VALUES), max_size=12)


class Refused(Exception):
    """What an operation of the test raises."""


@dataclass
class Held:
    """A snapshot and what it must show for ever."""

    snapshot: Snapshot
    model: dict[bytes, bytes]
    txid: int


def apply_to(model: dict[bytes, bytes], writes: list[tuple[bytes, bytes | None]]) -> None:
    for key, value in writes:
        if value is None:
            model.pop(key, None)
        else:
            model[key] = value


def check(view: ReadView, model: dict[bytes, bytes], start: bytes, stop: bytes) -> None:
    expected = sorted((key, value) for key, value in model.items() if start <= key < stop)
    assert list(view.scan(start, stop)) == expected
    for key in (start, stop):
        assert view.get(key) == model.get(key)


class OverlayMachine(RuleBasedStateMachine):
    snapshots = Bundle("snapshots")

    @initialize(chunk=st.integers(1, 5))
    def begin(self, chunk: int) -> None:
        self.chunk_before = layer.SCAN_CHUNK_KEYS
        layer.SCAN_CHUNK_KEYS = chunk
        self.store = MemoryStore()
        self.store.apply({b"a": b"stored", b"cx": b"stored"}, Txid(3))
        self.overlay = Overlay(self.store)
        self.durable = {b"a": b"stored", b"cx": b"stored"}
        self.sealed: dict[bytes, bytes] | None = None
        self.newest = dict(self.durable)
        self.applying: tuple[Txid, WriteSet] | None = None
        self.durable_txid = 3

    def teardown(self) -> None:
        layer.SCAN_CHUNK_KEYS = self.chunk_before

    @rule(writes=WRITES, start=KEYS, stop=KEYS)
    def operate(self, writes: list[tuple[bytes, bytes | None]], start: bytes, stop: bytes) -> None:
        def operation(tx: Transaction) -> int:
            check(tx, self.newest, start, stop)
            write_all(tx, writes)
            apply_to(self.newest, writes)
            check(tx, self.newest, start, stop)
            return tx.txid

        assert self.overlay.run(operation) == self.durable_txid + (1 if self.sealed is None else 2)

    @rule(writes=WRITES, start=KEYS, stop=KEYS)
    def operate_and_raise(self, writes: list[tuple[bytes, bytes | None]], start: bytes, stop: bytes) -> None:
        def operation(tx: Transaction) -> None:
            write_all(tx, writes)
            list(tx.scan(start, stop))
            raise Refused

        size_bytes = self.overlay.gathering_bytes
        with pytest.raises(Refused):
            self.overlay.run(operation)
        assert self.overlay.gathering_bytes == size_bytes

    @rule(start=KEYS, stop=KEYS)
    def delete_while_scanning(self, start: bytes, stop: bytes) -> None:
        def operation(tx: Transaction) -> list[bytes]:
            gone = []
            for key, _ in tx.scan(start, stop):
                tx.delete(key)
                gone.append(key)
            return gone

        expected = sorted(key for key in self.newest if start <= key < stop)
        assert self.overlay.run(operation) == expected
        for key in expected:
            del self.newest[key]

    @precondition(lambda self: self.sealed is None)
    @rule()
    def seal(self) -> None:
        txid, writes = self.overlay.seal()
        assert txid == self.durable_txid + 1
        model = dict(self.durable)
        apply_to(model, list(writes.items()))
        assert model == self.newest
        self.sealed = dict(self.newest)

    @precondition(lambda self: self.sealed is not None)
    @rule()
    def commit(self) -> None:
        self.durable_txid += 1
        self.overlay.commit()
        assert self.overlay.durable_txid == self.durable_txid
        assert self.sealed is not None
        self.durable, self.sealed = self.sealed, None

    @rule()
    def drop(self) -> None:
        self.overlay.drop()
        self.sealed = None
        self.newest = dict(self.durable)

    @precondition(lambda self: self.applying is None)
    @rule()
    def begin_apply(self) -> None:
        self.applying = self.overlay.begin_apply()
        assert self.applying[0] == self.durable_txid

    @precondition(lambda self: self.applying is not None)
    @rule()
    def apply(self) -> None:
        """Visible in the store before the overlay forgets, as with a commit in another thread."""
        assert self.applying is not None
        self.store.apply(self.applying[1], self.applying[0])

    @precondition(lambda self: self.applying is not None and self.store.applied_txid == self.applying[0])
    @rule()
    def end_apply(self) -> None:
        self.overlay.end_apply()
        self.applying = None

    @rule(target=snapshots)
    def take_snapshot(self) -> Held:
        return Held(self.overlay.snapshot(), dict(self.durable), self.durable_txid)

    @rule(held=snapshots, start=KEYS, stop=KEYS)
    def read_snapshot(self, held: Held, start: bytes, stop: bytes) -> None:
        assert held.snapshot.txid == held.txid
        check(held.snapshot, held.model, start, stop)

    @rule(start=KEYS, stop=KEYS)
    def read(self, start: bytes, stop: bytes) -> None:
        view = self.overlay.view()
        assert view.txid == self.durable_txid
        check(view, self.durable, start, stop)

    @invariant()
    def readers_see_what_is_durable(self) -> None:
        if hasattr(self, "overlay"):
            check(self.overlay.view(), self.durable, b"", b"\xff")


def write_all(tx: Transaction, writes: list[tuple[bytes, bytes | None]]) -> None:
    for key, value in writes:
        if value is None:
            tx.delete(key)
        else:
            tx.put(key, value)


OverlayMachine.TestCase.settings = settings(
    max_examples=100, stateful_step_count=40, deadline=None, derandomize=True, database=None
)
TestOverlay = OverlayMachine.TestCase
