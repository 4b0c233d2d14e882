"""Carries out what `pipeline_recovery` decides: asks the namenode, has replacements filled, opens the new pipeline."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from dataclasses import dataclass, replace

from seamlessfs.client.packet_window import PacketWindow
from seamlessfs.client.pipeline import Pipeline, PipelineFailed, PipelineSetupFailed, write_request
from seamlessfs.client.pipeline_recovery import (
    Announce,
    Announced,
    Broken,
    Event,
    Fill,
    Filled,
    FindReplacement,
    GiveUp,
    NotFilled,
    NotOffered,
    Offered,
    Opened,
    OpenFailed,
    RecoveryState,
    Reopen,
    Resume,
    Rules,
    Wait,
    Waited,
    Written,
    next_step,
)
from seamlessfs.client.session import Session
from seamlessfs.model.block import Checksum, ExtendedBlock, LocatedBlock, ReplicaLocation
from seamlessfs.model.cluster import DatanodeInfo
from seamlessfs.model.errors import NotEnoughDatanodes, SeamlessError
from seamlessfs.model.ids import InodeId
from seamlessfs.wire.xfer.ack import Status
from seamlessfs.wire.xfer.limits import op_bytes_max
from seamlessfs.wire.xfer.ops import TransferBlockOp
from seamlessfs.wire.xfer.response import OpResponse

FILL_BYTES_PER_TIMEOUT = 200 * 65536
"""A replacement may take one `timeout_per_target_s` longer for so many bytes, as in HDFS."""

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class FileBeingWritten:
    """What the namenode and the datanodes are told about whose block it is."""

    path: str
    inode_id: InodeId
    checksum: Checksum


class PipelineRepair:
    """Recoveries of one block. Owner: the block's writer.

    Attributes:
        block: the block with its present generation stamp; its length is meaningless.
        flushed: a flush was acknowledged, or the block is appended to.
    """

    def __init__(
        self,
        session: Session,
        file: FileBeingWritten,
        located: LocatedBlock,
        rules: Rules,
        wait: Callable[[float], None] = time.sleep,
    ) -> None:
        self.block: ExtendedBlock = located.block
        self.flushed = False
        self._session = session
        self._file = file
        self._rules = rules
        self._wait = wait
        self._state = RecoveryState(located.locations)
        self._renewed = located.block
        self._pipeline: Pipeline | None = None

    @property
    def pipeline(self) -> tuple[ReplicaLocation, ...]:
        """The datanodes that the block is written to, nearest first."""
        return self._state.pipeline

    @property
    def lost(self) -> tuple[DatanodeInfo, ...]:
        """Datanodes that failed while the block was written."""
        return tuple(one.replica.datanode for one in self._state.lost)

    def run(self, failure: PipelineFailed, window: PacketWindow) -> Pipeline | None:
        """Makes another pipeline for the block, through which everything in the window is to be sent.

        Returns:
            The pipeline; None if the block is whole and closed without one.

        Raises:
            NotEnoughDatanodes: no datanode is left, or no progress is made; every one is named with what it did.
            SeamlessError, OSError: the namenode does not let the block be written on.
        """
        log.warning("pipeline_broken path=%s error=%s", self._file.path, failure)
        try:
            return self._carry_out(failure, window)
        except BaseException:
            self._end_pipeline()
            raise

    def _carry_out(self, failure: PipelineFailed, window: PacketWindow) -> Pipeline | None:
        event: Event = Broken(failure.bad_node_index, failure.reason, self._written(window), failure.restarting)
        while True:
            self._state, step = next_step(self._state, event, self._rules)
            match step:
                case FindReplacement():
                    event = self._find(step)
                case Fill():
                    event = self._fill(step)
                case Reopen():
                    event = self._reopen(step, window)
                case Announce():
                    event = self._announce(step)
                case Wait():
                    self._wait(step.seconds)
                    event = Waited()
                case Resume():
                    return self._resumed(step)
                case GiveUp():
                    raise NotEnoughDatanodes(
                        f"{self._name()} of {self._file.path} cannot be written on after {window.acked} acknowledged "
                        f"bytes: {step.reason}"
                    )
            if isinstance(event, NotOffered | NotFilled | OpenFailed):
                log.warning(
                    "pipeline_recovery path=%s block=%s event=%s reason=%s",
                    self._file.path,
                    self._name(),
                    type(event).__name__,
                    event.reason,
                )

    def _written(self, window: PacketWindow) -> Written:
        return Written(window.acked, window.sent, window.acked_packets, window.ended, window.data_acked, self.flushed)

    def _find(self, step: FindReplacement) -> Event:
        try:
            located = self._session.namenode.get_additional_datanode(
                self._file.path,
                self._session.client_name,
                _with_length(self.block, self._state.written.acked),
                step.existing,
                step.excluded,
                self._file.inode_id,
            )
        except (SeamlessError, OSError) as error:
            return NotOffered(str(error))
        return Offered(located)

    def _fill(self, step: Fill) -> Event:
        request = TransferBlockOp(
            _with_length(self.block, self._state.written.acked),
            self._session.client_name,
            (step.target.datanode,),
            (step.target.storage_type,),
            (step.target.storage_id,),
        )
        connector = self._session.connector
        extensions = 2 + self._state.written.sent // FILL_BYTES_PER_TIMEOUT
        try:
            stream = connector.connect(
                step.source.datanode.id, extra_timeout=connector.timeout_per_target_s * extensions
            )
        except (OSError, SeamlessError) as error:
            return NotFilled(str(error), dead_source=step.source)
        with stream:
            try:
                stream.sendall(request.to_bytes())
                response = OpResponse.decode(stream.read_varint_delimited(op_bytes_max))
            except (OSError, SeamlessError) as error:
                return NotFilled(str(error))
        if response.status is not Status.SUCCESS:
            return NotFilled(response.message or response.status.name)
        return Filled()

    def _reopen(self, step: Reopen, window: PacketWindow) -> Event:
        """Opens a pipeline under a new stamp: no datanode that is left out can pass its replica off as this block."""
        written = self._state.written
        least = written.sent if self._state.closing else written.acked
        renewed = self._session.namenode.update_block_for_pipeline(self.block, self._session.client_name)
        request = write_request(
            _with_length(self.block, least),
            self._session.client_name,
            self._file.checksum,
            step.pipeline,
            stage=step.stage,
            least_bytes=least,
            most_bytes=written.sent,
            stamp=renewed.block.block.generation_stamp,
        )
        try:
            self._pipeline = Pipeline(self._session.connector, request, step.pipeline, window)
        except PipelineSetupFailed as error:
            return OpenFailed(error.bad_node_index, error.reason)
        stamp = renewed.block.block.generation_stamp
        self._renewed = replace(self.block, block=replace(self.block.block, generation_stamp=stamp, length=least))
        return Opened()

    def _announce(self, step: Announce) -> Event:
        self._session.namenode.update_pipeline(self._session.client_name, self.block, self._renewed, step.pipeline)
        self.block = self._renewed
        return Announced()

    def _resumed(self, step: Resume) -> Pipeline | None:
        log.warning(
            "pipeline_recovered path=%s block=%s datanodes=%s closed=%s",
            self._file.path,
            self._name(),
            ",".join(one.datanode.id.xfer_address for one in self._state.pipeline),
            step.closed,
        )
        if step.closed:
            self._end_pipeline()
        pipeline, self._pipeline = self._pipeline, None
        return pipeline

    def _end_pipeline(self) -> None:
        if self._pipeline is not None:
            self._pipeline.end()
            self._pipeline = None

    def _name(self) -> str:
        return f"blk_{self.block.block.id}_{self.block.block.generation_stamp}"


def _with_length(block: ExtendedBlock, length: int) -> ExtendedBlock:
    return replace(block, block=replace(block.block, length=length))
