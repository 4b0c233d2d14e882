"""The campaign: a cluster, a load, faults, and after every few of them a look at everything."""

from __future__ import annotations

import getpass
import shutil
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

from seamlessfs.cli.mini import MiniCluster
from seamlessfs.client.client import Client
from seamlessfs.model.errors import SeamlessError
from tests.kill import faults
from tests.kill.clients import OwnClient, Wrong
from tests.kill.expected import Expected, Finding, Seen, history
from tests.kill.faults import Fault
from tests.kill.inspection import Inspector, Storage, as_rust_reads, checked, complaints, recover, summed
from tests.kill.mix import BLOCK_BYTES, era_of, home_of
from tests.kill.operations import Kind, Op
from tests.kill.recorder import CAMPAIGN, Log, Recorder
from tests.kill.striker import Slot, Striker, keep_ports
from tests.support.observe import client_in

PROMISED_S = 30.0
"""Work succeeds again so long after the last process has been started again, at the latest."""

STILL_S = 120.0
"""When the load is held, the last operation ends so long afterwards, at the latest."""

STOCK_STILL_S = 30.0

SETTLED_S = 60.0
"""So long after the last fault nothing is owed and nothing is left over."""

BEGUN_S = 60.0
NOTED_S = 30.0
FAULTS_BETWEEN_LOOKS = 8
RUST_READS_ONE_IN = 10
PROBE_BYTES = 70_000
FINDINGS_TOLD = 20
HISTORY_TOLD = 12
MOMENT_PATIENCE_S = 3.0
ANSWERED_S = 0.5
POLL_S = 0.1

PROBES = "/probe"

NAMENODE_SETTINGS = {
    "heartbeat_interval_ms": 500,
    "stale_after_ms": 2000,
    "dead_after_ms": 5000,
    "settle_ms": 2000,
    "redundancy_interval_ms": 300,
    "sync_shortage_ms": 3000,
    "block_size": BLOCK_BYTES,
}
DATANODE_SETTINGS = {"read_timeout_ms": 10_000, "connect_timeout_ms": 5000, "reconnect_max_ms": 1000}


class CampaignFailed(Exception):
    """The cluster broke its word; the message says how, and where everything is kept."""


@dataclass
class Tally:
    """What a campaign has done so far."""

    faults: int = 0
    looks: int = 0
    longest_way_back_s: float = 0.0
    notes: list[str] = field(default_factory=list)


class Campaign:
    """One run. As a context manager: the cluster and its load are up inside it, and nothing is left afterwards.

    Args:
        kinds: clients of the load, each as `kind@number of its IDC`.
        folder: gets the log and everything of the cluster; stays when something was found.
        say: takes a line of the report.
        shape: IDCs, racks and datanodes; None: as the seed says.
        settled_s: what everything owed, and everything deleted, has of time.
        scans: datanodes look for damage by themselves.
    """

    def __init__(
        self,
        seed: int,
        count: int,
        kinds: Sequence[str],
        folder: Path,
        say: Callable[[str], None],
        shape: tuple[int, int, int] | None = None,
        settled_s: float = SETTLED_S,
        scans: bool = True,
    ) -> None:
        self.seed = seed
        self.folder = folder
        self.say = say
        self.settled_s = settled_s
        self.tally = Tally()
        self.expected = Expected()
        keep_ports(folder / "cluster")
        self.cluster = MiniCluster(
            folder / "cluster",
            *(shape or faults.shape(seed)),
            namenode_settings=NAMENODE_SETTINGS,
            datanode_settings=DATANODE_SETTINGS if scans else DATANODE_SETTINGS | {"scan_bytes_per_s": 0},
        )
        self.recorder = Recorder(folder / "log")
        self.log = Log(self.recorder.port, CAMPAIGN)
        names = self.cluster.idc_names
        slots = []
        for number, word in enumerate(kinds):
            kind, _, place = word.partition("@")
            idc = names[int(place or 0) % len(names)]
            slots.append(Slot(f"{kind}-{idc}{number}", kind, self.cluster.client_address(idc)))
        self.striker = Striker(self.cluster, slots, seed, self.recorder.port, folder)
        self.schedule = faults.schedule(seed, count, self.striker.inhabitants)
        self.prober = OwnClient(self.cluster.url, self.cluster.client_address(names[0]))
        self.probes = 0
        self.finished: set[str] = set()
        """Eras that nobody works in any more, and that have been looked at: they are deleted after the next look."""

    def run(self) -> None:
        """Runs to the end.

        Raises:
            CampaignFailed: something acknowledged is lost, or something is stuck.
        """
        with self, self.failures_told():
            for number, fault in enumerate(self.schedule, 1):
                self.suffer(number, fault)
                if number % FAULTS_BETWEEN_LOOKS == 0:
                    self.look()
            self.look()
            self.striker.stop_workers()
            self.look(last=True)
            self.fail([Finding("/", bad_end) for bad_end in self.striker.end_all()])
            self.fail(checked(self.cluster.namenode))

    def __enter__(self) -> Campaign:
        try:
            with self.failures_told():
                self.cluster.start()
                for folder in (PROBES, *(f"/{slot.name}" for slot in self.striker.slots)):
                    assert not (failed := self.do(Op(Kind.MKDIRS, folder))), failed
                self.striker.start_workers()
                self._wait_for_load()
        except BaseException:
            self.stop()
            raise
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        self.stop()
        if kind is None:
            shutil.rmtree(self.folder)

    def stop(self) -> None:
        """Ends every process of the campaign."""
        self.striker.stop_workers(whatever=True)
        self.cluster.stop()
        self.prober.client.close()
        self.log.close()
        self.recorder.stop()

    def summary(self) -> str:
        """The last line of a campaign that succeeded."""
        return (
            f"seed {self.seed}: {self.tally.faults} faults, {self.expected.acknowledged} operations acknowledged and "
            f"{self.expected.doubted} in doubt, {self.tally.looks} looks at everything, work went on at most "
            f"{self.tally.longest_way_back_s:.1f} s after a restart: nothing lost, nothing stuck"
        )

    @contextmanager
    def failures_told(self) -> Iterator[None]:
        """Whatever fails in here is a finding."""
        try:
            yield
        except (AssertionError, SeamlessError, OSError) as error:
            raise CampaignFailed(self._report([Finding("/", f"{type(error).__name__}: {error}")])) from error

    def fail(self, findings: list[Finding]) -> None:
        """Ends the campaign if there are any.

        Raises:
            CampaignFailed: with the findings and their histories.
        """
        if findings:
            raise CampaignFailed(self._report(findings))

    def _report(self, findings: list[Finding]) -> str:
        lines = [f"seed {self.seed}, after {self.tally.faults} faults: {len(findings)} findings"]
        for finding in findings[:FINDINGS_TOLD]:
            lines.append(f"FOUND {finding}")
            entries = history(self.recorder.entries(), finding.path) if finding.path != "/" else []
            lines += [f"      {entry}" for entry in entries[-HISTORY_TOLD:]]
        lines += ["", "what happened:", *self.tally.notes, "", f"logs and disks are kept in {self.folder}"]
        lines.append(f"again: make kill N={len(self.schedule)} SEED={self.seed}")
        return "\n".join(lines)

    def _note(self, text: str) -> None:
        self.tally.notes.append(f"{time.strftime('%H:%M:%S')} {text}")
        self.say(text)

    def catch_up(self) -> None:
        """Takes what the log has got."""
        for entry in self.recorder.fresh():
            self.expected.feed(entry)
        self.fail(self.expected.wrong)

    def _until(self, condition: Callable[[], bool], what: str, deadline_s: float) -> None:
        deadline = time.monotonic() + deadline_s
        while True:
            self.catch_up()
            if condition():
                return
            assert time.monotonic() < deadline, f"{what}: not within {deadline_s:.0f} s"
            time.sleep(POLL_S)

    def _wait_for_load(self) -> None:
        """Every worker has something acknowledged."""
        eras = [f"{home_of(slot.who)}-1" for slot in self.striker.slots]
        self._until(lambda: all(era in self.expected.world for era in eras), "every worker begins", BEGUN_S)

    def suffer(self, number: int, fault: Fault) -> None:
        """One fault, from its moment until work succeeds again."""
        self._await(fault)
        self.striker.strike(fault)
        time.sleep(fault.down_s)
        self.striker.heal(fault)
        back_s = None if fault.overlaps else self._probe()
        self.tally.faults += 1
        self.tally.longest_way_back_s = max(self.tally.longest_way_back_s, back_s or 0)
        told = "the next one at once" if back_s is None else f"work again after {back_s:.1f} s"
        self._note(f"{number:4d}/{len(self.schedule)} {fault}: {told}")
        self.catch_up()

    def _await(self, fault: Fault) -> None:
        if fault.moment.on:
            watch = Log(self.recorder.port, "")
            watch.watch(fault.moment.on, fault.moment.kind, MOMENT_PATIENCE_S)
            watch.close()
        time.sleep(fault.moment.delay_s)

    def _probe(self) -> float:
        """Seconds until a file could be written, read and deleted."""
        began = time.monotonic()
        failed = ""
        while time.monotonic() - began < PROMISED_S:
            self.probes += 1
            path, content = f"{PROBES}/{self.probes}", f"probe {self.probes}"
            steps = (
                Op(Kind.PUT, path, content=content, length=PROBE_BYTES),
                Op(Kind.READ, path, content=content, length=PROBE_BYTES),
                Op(Kind.DELETE, path),
            )
            failed = next((failure for op in steps if (failure := self.do(op))), "")
            if not failed:
                return time.monotonic() - began
        raise AssertionError(f"work does not succeed within {PROMISED_S:.0f} s of the last start: {failed}")

    def do(self, op: Op) -> str:
        """Does one thing as a client that the log knows; returns why it failed."""
        number = self.log.intent(op)
        try:
            self.prober.do(op)
        except Exception as error:
            if isinstance(error, Wrong):
                self.log.wrong(op.path, str(error))
            self.log.fail(number, error)
            return f"{op.kind} {op.path}: {error}"
        self.log.ack(number)
        return ""

    def look(self, last: bool = False) -> None:
        """Holds the load and compares everything with the log.

        Raises:
            CampaignFailed: something is not as it must be.
        """
        began = time.monotonic()
        self.fail([Finding(daemon.name, f"died: {daemon.last_lines()}") for daemon in self.cluster.dead()])
        self.log.hold()
        self._until(lambda: self.expected.noted(self.striker.gone), "the log notes who was killed", NOTED_S)
        self._wait_until_still()
        time.sleep(ANSWERED_S)
        self.cluster.wait_for_datanodes(len(self.cluster.datanodes))
        idc = self.cluster.idc_names[self.tally.looks % self.cluster.idcs]
        with client_in(self.cluster, idc, getpass.getuser()) as client:
            left = self.expected.left()
            self._compare(client, last)
        self.tally.looks += 1
        self._note(f"     look {self.tally.looks} from {idc}: {time.monotonic() - began:.1f} s")
        if not last:
            self._delete_finished(left)
            self.log.go()

    def _wait_until_still(self) -> None:
        """Nothing is under way any more. A client that others wrote may wait for ever: it is replaced, and told of."""
        own = {slot.who for slot in self.striker.slots if slot.kind == "own"} | {CAMPAIGN}
        self._until(lambda: own.isdisjoint(self.expected.busy()), "what our clients do ends", STILL_S)
        with suppress(AssertionError):
            self._until(lambda: not self.expected.running, "what stock clients do ends", STOCK_STILL_S)
        for slot in self.striker.slots:
            if slot.who in self.expected.busy():
                self._note(f"     {slot.who} does not end by itself: {self.expected.busy()[slot.who]}")
                self.striker.replace_worker(slot)
        self._until(lambda: not self.expected.running, "the log notes who was replaced", NOTED_S)

    def _compare(self, client: Client, last: bool) -> None:
        found = recover(client, self.expected.adrift())
        seen, unreadable = Inspector(client, self.expected).look()
        wrong, settled = self.expected.judge(seen)
        found += unreadable + wrong + summed(client, seen)
        if last:
            found += [Finding(path, "is open after the last fault") for path, one in seen.items() if one.is_open]
        self.fail(found + complaints(daemon.log for daemon in self.striker.daemons.values()))
        self.log.settled(settled)
        self.catch_up()
        self.fail(self._late(client, seen))
        self.fail(Storage.look(self.cluster, client, seen).wrong_bytes(self.expected))
        sample = list(self.expected.closed())[self.tally.looks % RUST_READS_ONE_IN :: RUST_READS_ONE_IN]
        self.fail(as_rust_reads(self.cluster.namenode_address, sample))

    def _late(self, client: Client, seen: Mapping[str, Seen]) -> list[Finding]:
        """What is owed or left over when everything has had its time."""
        deadline = time.monotonic() + self.settled_s
        while found := Storage.look(self.cluster, client, seen).unsettled():
            if time.monotonic() > deadline:
                return [Finding(one.path, f"{one.what}, {self.settled_s:.0f} s after the last fault") for one in found]
            time.sleep(POLL_S * 5)
        return []

    def _delete_finished(self, left: set[str]) -> None:
        """Deletes what belonged to nobody at the look before: it must be gone at the next one."""
        busy = {era_of(path) for path in self.expected.open_paths()}
        for era in sorted(self.finished - busy):
            if era in self.expected.world:
                self.do(Op(Kind.DELETE, era))
        homes = tuple(f"{home_of(who)}-" for who in self.striker.gone)
        gone = {path for path in self.expected.world if path == era_of(path) and path.startswith(homes)}
        self.finished = (self.finished & busy) | gone | {era_of(path) for path in left}
        self.catch_up()
