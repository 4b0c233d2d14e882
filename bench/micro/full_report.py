"""Processor time of a full block report, slice by slice. Run: python -m bench.micro.full_report [BLOCKS]

A slice is what the namenode's loop does in one go; between slices it answers others. Blocks are looked up in LMDB, one
file each. The first report after a start puts every block into the map; the second finds all of them there.
"""

from __future__ import annotations

import random
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from bench.many_files import IDENTITY, LENGTH, STAMP, ManyFiles, block_of, fill
from seamlessfs.blocks.manager import BlockManager
from seamlessfs.blocks.policy import BlockFacts
from seamlessfs.blocks.reports import Counters, ReportPart
from seamlessfs.blocks.settings import BlockSettings
from seamlessfs.blocks.topology import Topology
from seamlessfs.model.cluster import DatanodeId, Location, StorageReport
from seamlessfs.model.ids import BlockId, DatanodeUuid, StorageId
from seamlessfs.model.policy import BUILT_IN_POLICIES
from seamlessfs.namenode.sessions import REPORT_SLICE_BLOCKS, report_part
from seamlessfs.namespace.namespace import Namespace
from seamlessfs.store.lmdb import LmdbStore
from seamlessfs.store.overlay import Overlay
from seamlessfs.wire.pb.seamless import control_pb2 as pb

BLOCKS = 200_000
PART = 50_000


def parts(count: int) -> Iterator[ReportPart]:
    """The report as it comes over the wire."""
    number = -(-count // PART)
    for part in range(number):
        ids = range(block_of(part * PART), block_of(min(count, (part + 1) * PART)))
        report = pb.BlockReport(
            storage_id="DS-1",
            report_id=1,
            part=part,
            parts=number,
            block_ids=ids,
            generation_stamps=[STAMP] * len(ids),
            lengths=[LENGTH] * len(ids),
            states=["FINALIZED"] * len(ids),
            xxh3=[7] * len(ids),
            last=part + 1 == number,
        )
        yield report_part(report)


def measure(manager: BlockManager, facts: object, count: int) -> list[float]:
    """Processor seconds of each slice."""
    spent = []
    for part in parts(count):
        for each in part.sliced(REPORT_SLICE_BLOCKS):
            began = time.thread_time()
            manager.apply_report(DatanodeUuid("node"), each, facts, 1000)  # type: ignore[arg-type]
            spent.append(time.thread_time() - began)
    return spent


def main() -> None:
    count = int(sys.argv[1]) if len(sys.argv) > 1 else BLOCKS
    with tempfile.TemporaryDirectory() as folder:
        store = LmdbStore(Path(folder), 1 << 30)
        overlay = Overlay(store)
        namespace = Namespace(IDENTITY.pool_id)
        fill(overlay, store, namespace, ManyFiles(count))
        policies = {policy.id: policy for policy in BUILT_IN_POLICIES}

        def facts(block_id: BlockId) -> BlockFacts | None:
            view = overlay.view()
            record = namespace.block(view, block_id)
            file = None if record is None else namespace.file(view, record.inode_id)
            if record is None or file is None:
                return None
            return BlockFacts(record.block, policies[file.policy_id], 4, "a", "b", True, 1)

        newest = Counters(block_of(count), STAMP)
        manager = BlockManager(
            Topology([], "a"),
            policies.__getitem__,
            random.Random(1),
            BlockSettings(),
            counters=lambda: newest,
            complete=lambda block_id: namespace.complete_version(overlay.view(), block_id),
        )
        who = DatanodeId(DatanodeUuid("node"), "127.0.0.1", "node", 1, 0, 2)
        manager.register(who, Location("a", "r1"), [StorageReport(StorageId("DS-1"))], 0)
        for name in ("first", "again"):
            spent = sorted(measure(manager, facts, count))
            print(
                f"{name} report of {count} blocks: {sum(spent):.2f} s processor, slice of {REPORT_SLICE_BLOCKS}: "
                f"median {spent[len(spent) // 2] * 1000:.1f} ms, most {spent[-1] * 1000:.1f} ms"
            )
        sweeps = []
        manager.sweeps.leave(manager.cluster.node(DatanodeUuid("node")).storages.values())
        while manager.sweeps.pending:
            began = time.thread_time()
            manager.sweeps.run(manager.settings.sweep_max)
            sweeps.append(time.thread_time() - began)
        print(f"lost again: {sum(sweeps):.2f} s processor, most in a tick {max(sweeps) * 1000:.1f} ms")
        store.close()


if __name__ == "__main__":
    main()
