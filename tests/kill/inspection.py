"""What is there: the namespace with its bytes, the replicas as the namenode knows them, the files on the disks."""

from __future__ import annotations

import posixpath
import subprocess
import time
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from seamlessfs.cli.mini import Daemon, MiniCluster
from seamlessfs.client.client import Client
from seamlessfs.client.placement import fetch_placement, fetch_traffic
from seamlessfs.model.errors import FileNotFound, SeamlessError
from seamlessfs.model.status import FileStatus
from seamlessfs.wire.pb.seamless import placement_pb2 as pb
from tests.kill.clients import RustClient
from tests.kill.expected import Expected, Finding, Seen
from tests.kill.operations import File, Folder, content_of
from tests.support.observe import block_files

NOT_OURS = frozenset({"/tmp"})
"""What a fresh namespace has."""

READ_DEADLINE_S = 30.0
HELD_DEADLINE_S = 3.0
RECOVERY_DEADLINE_S = 60.0
NO_PEER = ["no_peer_idc"]
POLL_S = 0.3


def recover(client: Client, paths: Iterable[str]) -> list[Finding]:
    """Closes the files that nobody will close; those that do not exist are no concern."""
    waiting = sorted(paths)
    deadline = time.monotonic() + RECOVERY_DEADLINE_S
    answers: dict[str, str] = {}
    while True:
        for path in list(waiting):
            try:
                if client.namenode.recover_lease(path, "campaign"):
                    waiting.remove(path)
                answers[path] = "is being recovered"
            except FileNotFound:
                waiting.remove(path)
            except SeamlessError as error:
                answers[path] = f"{type(error).__name__}: {error}"
        if not waiting or time.monotonic() > deadline:
            break
        time.sleep(POLL_S)
    late = f"was not closed within {RECOVERY_DEADLINE_S:.0f} s of recoverLease, the last answer:"
    return [Finding(path, f"{late} {answers[path]}") for path in waiting]


@dataclass
class Inspector:
    """One look at everything, through a client of ours."""

    client: Client
    expected: Expected

    def look(self) -> tuple[dict[str, Seen], list[Finding]]:
        """Every file and directory; and files that cannot be read."""
        self._contents = self.expected.contents()
        self._policied = {path for path, node in self.expected.possible() if isinstance(node, Folder) and node.policy}
        self._held = self.expected.held()
        self._unreadable: list[Finding] = []
        return dict(self._walk("/")), self._unreadable

    def _walk(self, folder: str) -> Iterator[tuple[str, Seen]]:
        for entry in self.client.listing(folder):
            path = posixpath.join(folder, entry.name.decode())
            if path in NOT_OURS:
                continue
            if entry.is_directory:
                policy = self.client.namenode.get_storage_policy(path) if path in self._policied else ""
                yield path, Seen(True, entry.permission, policy)
                yield from self._walk(path)
            else:
                yield path, self._file(path, entry)

    def _file(self, path: str, entry: FileStatus) -> Seen:
        placement = fetch_placement(self.client, path)
        data = self._read(path)
        if data is None:
            if not (placement.under_construction and path in self._held):
                self._unreadable.append(Finding(path, f"cannot be read for {READ_DEADLINE_S:.0f} s: {self._error}"))
            return Seen(False, entry.permission, placement.policy, entry.owner, unread=True, is_open=True)
        return Seen(
            is_folder=False,
            mode=entry.permission,
            policy=placement.policy,
            owner=entry.owner,
            length=len(data),
            is_open=placement.under_construction,
            contents=frozenset(
                content for content in self._contents.get(path, ()) if content_of(content, len(data)) == data
            ),
            modified_at_ms=entry.modified_at_ms,
        )

    def _read(self, path: str) -> bytes | None:
        """The file's bytes; None when no replica gives them in time."""
        deadline = time.monotonic() + (HELD_DEADLINE_S if path in self._held else READ_DEADLINE_S)
        while True:
            try:
                return self.client.read_file(path)
            except (SeamlessError, OSError) as error:
                self._error = error
                if time.monotonic() > deadline:
                    return None
            time.sleep(POLL_S)


def summed(client: Client, seen: Mapping[str, Seen]) -> list[Finding]:
    """Whether the totals that directories carry are those of what is in them."""
    wrong = []
    for top in sorted(path for path in seen if path.count("/") == 1 and seen[path].is_folder):
        inside = [one for path, one in seen.items() if path == top or path.startswith(top + "/")]
        summary = client.content_summary(top)
        counted = (sum(not one.is_folder for one in inside), sum(one.is_folder for one in inside))
        if (summary.files, summary.directories) != counted:
            told = (summary.files, summary.directories)
            wrong.append(Finding(top, f"holds {counted} files and directories, and says {told}"))
        closed = sum(one.length for one in inside if not one.is_folder)
        if summary.length != closed and not any(one.is_open for one in inside):
            wrong.append(Finding(top, f"holds {closed} bytes, and says {summary.length}"))
    return wrong


@dataclass
class Storage:
    """Replicas as the namenode knows them, and the disks; they agree once everything owed is made and the rest gone."""

    cluster: MiniCluster
    client: Client
    placements: dict[str, pb.GetPlacementResponseProto]

    @classmethod
    def look(cls, cluster: MiniCluster, client: Client, seen: Mapping[str, Seen]) -> Storage:
        files = [path for path, one in seen.items() if not one.is_folder]
        return cls(cluster, client, {path: fetch_placement(client, path) for path in files})

    def unsettled(self) -> list[Finding]:
        """What is owed, too much, or left on a disk."""
        found = list(self._owed())
        known = {block.block_id: path for path, one in self.placements.items() for block in one.blocks}
        open_files = {path for path, one in self.placements.items() if one.under_construction}
        wanted = {
            block.block_id: len(block.replicas)
            for path, one in self.placements.items()
            if path not in open_files
            for block in one.blocks
        }
        there: dict[int, dict[str, list[str]]] = {}
        for file in sorted(block_files(self.cluster)):
            there.setdefault(int(file.name.split("_")[1]), {}).setdefault(file.name, []).append(str(file))
        for block_id in there.keys() - known.keys():
            found += [Finding(name, f"belongs to no file: {files}") for name, files in there[block_id].items()]
        for block_id, count in wanted.items():
            names = there.get(block_id, {})
            if len(names) != 2 or {len(files) for files in names.values()} != {count}:
                listed = list(names.values())
                found.append(Finding(known[block_id], f"blk_{block_id} has {count} replicas, on disks: {listed}"))
        return found

    def _owed(self) -> Iterator[Finding]:
        for path, placement in self.placements.items():
            for block in placement.blocks:
                complete = block.state == "COMPLETE"
                if not placement.under_construction and not complete:
                    yield Finding(path, f"is closed, and its blk_{block.block_id} is {block.state}")
                if complete and not block.satisfied and list(block.reasons) != NO_PEER:
                    where = sorted(replica.location for replica in block.replicas)
                    yield Finding(path, f"blk_{block.block_id} of {placement.policy} is {list(block.reasons)}: {where}")
        for debt in fetch_traffic(self.client).debts:
            if debt.target not in self.cluster.idc_names:
                continue  # a cluster of one IDC owes to a peer that does not exist
            yield Finding("/", f"{debt.blocks} blocks are owed from {debt.source} to {debt.target}")

    def wrong_bytes(self, expected: Expected) -> list[Finding]:
        """Replicas of closed files whose bytes on the disk are not those of the file."""
        by_address = {node.address: node for node in self.cluster.datanodes}
        files = {
            (node.address, file.name): file for node in self.cluster.datanodes for file in _data_files(node.folder)
        }
        found = []
        for path, placement in self.placements.items():
            node = expected.world.get(path)
            if placement.under_construction or not isinstance(node, File):
                continue
            data = content_of(node.content, node.most)
            for block in placement.blocks:
                wanted = data[block.offset : block.offset + block.length]
                for replica in block.replicas:
                    address = replica.address.rpartition(":")[0]
                    file = files.get((address, f"blk_{block.block_id}"))
                    if file is None or file.read_bytes() != wanted:
                        where = file or by_address[address].folder
                        found.append(Finding(path, f"blk_{block.block_id} has other bytes in {where}"))
        return found


def _data_files(folder: Path) -> Iterator[Path]:
    return (file for file in folder.glob("data/current/*/current/finalized/**/blk_*") if file.suffix != ".meta")


def complaints(logs: Iterable[Path]) -> list[Finding]:
    """Lines by which a daemon says that a person must act, or that it did not expect something.

    Not that promised bytes are lost: stock clients promise what they only hope, and what was acknowledged is compared.
    """
    return [
        Finding(str(log), line[:500])
        for log in logs
        for line in log.read_text(errors="replace").splitlines()
        if (" ERROR " in line or line.startswith("Traceback")) and "promised_bytes_lost" not in line
    ]


def checked(namenode: Daemon) -> list[Finding]:
    """What the checker finds in the folder of a namenode that has ended."""
    command = [word for word in namenode.command if word != "--stop-at-eof"]
    done = subprocess.run([*command, "--check"], stdin=subprocess.DEVNULL, capture_output=True, check=False)
    told = (done.stdout + done.stderr).decode()
    return [Finding(str(namenode.folder), f"--check ended with {done.returncode}: {told}")] if done.returncode else []


def as_rust_reads(address: str, files: Iterable[tuple[str, File]]) -> list[Finding]:
    """Files as a client reads them that we did not write."""
    rust = RustClient(address)
    return [
        Finding(path, "has other bytes when hdfs-native reads it")
        for path, file in files
        if rust.fetch(path) != content_of(file.content, file.most)
    ]
