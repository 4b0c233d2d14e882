"""PlacementProtocol: where replicas are, what is owed, and what crossed between IDCs."""

from __future__ import annotations

from seamlessfs.model.policy import PlacementPolicy
from seamlessfs.namenode.core import Core
from seamlessfs.namenode.health import Health
from seamlessfs.namenode.locate import WHOLE_FILE
from seamlessfs.namenode.sessions import ControlService
from seamlessfs.namespace.answers import FileBlock
from seamlessfs.net.rpc_server import CallContext
from seamlessfs.wire.pb.seamless import placement_pb2 as pb


class PlacementCalls:
    """What HDFS's protocols have no words for."""

    def __init__(self, core: Core, control: ControlService, health: Health) -> None:
        self.core = core
        self.control = control
        self.health = health

    def get_placement(self, call: CallContext, request: pb.GetPlacementRequestProto) -> pb.GetPlacementResponseProto:
        """Every replica of a file, judged by its policy."""
        found = self.core.namespace.get_blocks(self.core.view(), self.core.context(call), request.path, 0, WHOLE_FILE)
        policy = self.core.policies[found.policy_id]
        return pb.GetPlacementResponseProto(
            inode_id=found.inode_id,
            policy=policy.name,
            write_mode=policy.write_mode.value,
            length=sum(block.block.length for block in found.blocks),
            under_construction=found.under_construction,
            blocks=[self._block(block, policy) for block in found.blocks],
        )

    def _block(self, block: FileBlock, policy: PlacementPolicy) -> pb.BlockPlacementProto:
        answer = pb.BlockPlacementProto(
            block_id=block.block.id,
            generation_stamp=block.block.generation_stamp,
            offset=block.offset,
            length=block.block.length,
            state=block.state.name,
        )
        for replica in self.core.blocks.locations(block.block.id, None, ""):
            answer.replicas.add(
                datanode_uuid=replica.datanode.id.uuid,
                address=replica.datanode.id.xfer_address,
                location=str(replica.datanode.location),
                storage_id=replica.storage_id,
            )
        facts = self.core.facts(block.block.id)
        if facts is None or not facts.committed:
            return answer
        verdict = self.core.blocks.verdict(facts)
        answer.satisfied = verdict.satisfied
        answer.reasons.extend(reason.value for reason in verdict.reasons)
        for idc, part in sorted(verdict.per_idc.items()):
            answer.idcs.add(idc=idc, have=part.have, want=part.want, racks=part.racks, owed=verdict.owed.get(idc, 0))
        return answer

    def get_traffic(self, call: CallContext, request: pb.GetTrafficRequestProto) -> pb.GetTrafficResponseProto:
        """What crossed, counted by its senders and by its receivers, and what is still owed."""
        answer = pb.GetTrafficResponseProto()
        for row in self.control.ledger.sums():
            answer.traffic.add(
                source=row.source,
                target=row.target,
                traffic_class=row.traffic_class,
                payload_sent=row.payload_sent,
                payload_received=row.payload_received,
                wire_sent=row.wire_sent,
                wire_received=row.wire_received,
            )
        for idc in sorted({idc for idc, _ in self.control.control_bytes}):
            answer.control.add(
                idc=idc,
                sent=self.control.control_bytes[idc, "sent"],
                received=self.control.control_bytes[idc, "received"],
            )
        for link, debt in sorted(self.core.blocks.owed().items()):
            answer.debts.add(source=link.source, target=link.target, blocks=debt.blocks, bytes=debt.size_bytes)
        return answer

    def get_health(self, call: CallContext, request: pb.GetHealthRequestProto) -> pb.GetHealthResponseProto:
        """Every queue and the oldest of what waits; for superusers."""
        self.core.require_superuser(call)
        answer = pb.GetHealthResponseProto(safe_mode=self.core.safe_mode)
        if self.core.safe_mode:
            answer.safe_mode_reason = self.core.standstill.why()
        for queue in self.health.queues():
            answer.queues.add(name=queue.name, length=queue.length, bound=queue.bound)
        for each in self.health.oldest():
            answer.oldest.add(**each._asdict())
        return answer
