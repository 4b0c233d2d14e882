"""A datanode is killed right before every call of a write: what it acknowledged is there afterwards.

Right after a call is the same disk with fewer acknowledgements.
"""

from __future__ import annotations

import gc
import os
import shutil
import signal
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import pytest
from conftest import TransferNode
from write_script import DATA, ENDS, Outcome, append, block_id, write

from seamlessfs.model.block import Checksum, ReplicaState
from seamlessfs.model.ids import GenerationStamp
from tests.support.faulty_calls import CHANGES, Fault, FaultyCalls

HOST = "127.1.1.1"
CALLS_MAX = 60
FORKS_MAX = 3


class Doomed(NamedTuple):
    """A node in a process of its own, which dies at a call."""

    pid: int
    host: str
    port: int


def start_doomed(folder: Path, fault: Fault) -> Doomed:
    """A fork of this process, which may have threads of gRPC's: one that does not tell its port is made again."""
    for _ in range(FORKS_MAX):
        told, tell = os.pipe()
        pid = os.fork()
        if not pid:
            gc.disable()  # what it inherits belongs to threads that it has not
            os.close(told)
            _be_doomed(folder, fault, tell)
        os.close(tell)
        with os.fdopen(told) as port:
            line = port.readline()
        if line:
            return Doomed(pid, HOST, int(line))
        _, status = os.waitpid(pid, 0)
    raise AssertionError(f"the node of {folder} does not start: it ended with status {status}")


def _be_doomed(folder: Path, fault: Fault, tell: int) -> None:
    """Never returns into the test of the parent."""
    try:
        with FaultyCalls(folder) as calls:
            node = TransferNode(folder, HOST)
            calls.arm(fault)
            os.write(tell, f"{node.port}\n".encode())
            signal.pause()
    finally:
        os._exit(1)


def end(doomed: Doomed, outcome: Outcome) -> bool:
    """Ends the process; tells whether it died of itself, as it must if the client was not told of a success."""
    if not outcome.final:
        assert os.waitstatus_to_exitcode(os.waitpid(doomed.pid, 0)[1]) == -signal.SIGKILL
        return True
    os.kill(doomed.pid, signal.SIGKILL)
    os.waitpid(doomed.pid, 0)
    return False


def check(folder: Path, outcome: Outcome, told: str) -> None:
    node = TransferNode(folder, HOST)
    try:
        found = node.store.find(block_id(1))
        if outcome.final:
            assert found is not None, told
            assert found[0] is ReplicaState.FINALIZED, told
        if outcome.acked:
            assert found is not None, told
            assert found[1].length >= outcome.acked, told
        if found is not None:
            assert found[0] in (ReplicaState.FINALIZED, ReplicaState.RWR), told
            replica = node.store.look(block_id(1))
            assert replica is not None, told
            assert replica.data_path.read_bytes()[: found[1].length] == DATA[: found[1].length], told
            assert replica.meta_path.exists(), told
            assert sum(1 for _ in node.folder.rglob("blk_*")) == 2, told
            assert node.store.invalidate(block_id(1), GenerationStamp(2000)), told
        assert not list(node.folder.rglob("blk_*")), told
        assert write(node).final, told
    finally:
        node.stop()


@pytest.mark.parametrize("act", [write, append])
def test_nothing_acknowledged_is_lost(tmp_path: Path, act: Callable[[Doomed], Outcome]) -> None:
    finals = 0
    node = TransferNode(tmp_path / "before", HOST)
    assert act is write or write(node).final
    node.stop()
    for nth in range(1, CALLS_MAX):
        folder = tmp_path / str(nth)
        shutil.copytree(tmp_path / "before", folder)
        doomed = start_doomed(folder, Fault(CHANGES, nth=nth, die="before"))
        outcome = act(doomed)
        died = end(doomed, outcome)
        check(folder, outcome, f"killed before call {nth}, client was told {outcome}")
        finals += not died
        if finals > 2:
            break
    assert nth > 10
    assert finals > 2, f"more than {CALLS_MAX} calls"


def test_a_half_written_packet_is_cut_off(tmp_path: Path) -> None:
    """The data of a packet is there, its checksums are not: what they covered before is what is proven."""
    doomed = start_doomed(tmp_path, Fault("pwrite", match="*.meta", nth=4, die="before"))
    outcome = write(doomed)
    assert end(doomed, outcome)
    assert outcome.acked == ENDS[1]
    node = TransferNode(tmp_path, HOST)
    found = node.store.find(block_id(1))
    assert found is not None
    assert (found[0], found[1].length) == (ReplicaState.RWR, ENDS[1])
    replica = node.store.look(block_id(1))
    assert replica is not None
    assert replica.data_path.stat().st_size == ENDS[2] > ENDS[1] > ENDS[1] // Checksum().bytes_per_chunk * 512
    node.stop()
