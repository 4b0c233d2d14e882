"""`explain` of PlacementProtocol: a file or a block as an operator needs to see it."""

from __future__ import annotations

from seamlessfs.blocks.explain import Explanation, Next, ReplicaView, explain
from seamlessfs.blocks.policy import BlockFacts
from seamlessfs.model.errors import FileNotFound
from seamlessfs.model.ids import BlockId
from seamlessfs.namenode.core import Core, mono_ms
from seamlessfs.namenode.locate import WHOLE_FILE
from seamlessfs.net.rpc_server import CallContext
from seamlessfs.wire.pb.seamless import placement_pb2 as pb


class ExplainCalls:
    """Answers from the namespace and the block manager as they are now."""

    def __init__(self, core: Core) -> None:
        self.core = core

    def explain(self, call: CallContext, request: pb.ExplainRequestProto) -> pb.ExplainResponseProto:
        """Every block of a file, or one block.

        Raises:
            FileNotFound: there is no such file or block. AccessDenied: a block is for superusers, a file for those who
                may read it.
        """
        namespace, view = self.core.namespace, self.core.view()
        if request.block_id:
            self.core.require_superuser(call)
            record = namespace.block(view, BlockId(request.block_id))
            path = None if record is None else namespace.path_of(view, record.inode_id)
            if path is None:
                raise FileNotFound(f"No file has block blk_{request.block_id}: it was deleted, or never was here")
            ids = [BlockId(request.block_id)]
        else:
            path = request.path
            found = namespace.get_blocks(view, self.core.context(call), path, 0, WHOLE_FILE)
            ids = [each.block.id for each in found.blocks]
        answer = pb.ExplainResponseProto(path=path)
        for block_id in ids:
            facts = self.core.facts_in(view, block_id)
            if facts is not None:
                self._describe(answer, facts)
        return answer

    def _describe(self, answer: pb.ExplainResponseProto, facts: BlockFacts) -> None:
        policy, block, now_ms = facts.policy, facts.block, mono_ms()
        answer.policy, answer.write_mode = policy.name, policy.write_mode.value
        answer.home, answer.peer, answer.replication = policy.home, policy.peer, facts.replication
        found = explain(self.core.blocks, facts, now_ms)
        shown = answer.blocks.add(
            block_id=block.id,
            generation_stamp=block.generation_stamp,
            length=block.length,
            state="COMMITTED" if facts.committed else "UNDER_CONSTRUCTION",
            home_idc=facts.home_idc,
            peer_idc=facts.peer_idc,
        )
        _verdict(shown, found)
        shown.replicas.extend(_replica(view) for view in found.replicas)
        for owed in found.owed:
            shown.owed.add(source=owed.link.source, target=owed.link.target, replicas=owed.replicas)
        shown.next.extend(_step(step, now_ms) for step in found.next)


def _verdict(shown: pb.BlockExplanationProto, found: Explanation) -> None:
    verdict = found.verdict
    if verdict is None:
        return
    shown.satisfied = verdict.satisfied
    shown.reasons.extend(reason.value for reason in verdict.reasons)
    for idc, part in sorted(verdict.per_idc.items()):
        shown.idcs.add(idc=idc, have=part.have, want=part.want, racks=part.racks, owed=verdict.owed.get(idc, 0))


def _replica(view: ReplicaView) -> pb.ReplicaStandingProto:
    node = view.storage.node
    return pb.ReplicaStandingProto(
        replica=pb.ReplicaProto(
            datanode_uuid=node.id.uuid,
            address=node.id.xfer_address,
            location=str(node.location),
            storage_id=view.storage.id,
        ),
        place=view.place,
        standing=view.standing,
        detail=view.detail,
        datanode_state=node.state.value,
    )


def _step(step: Next, now_ms: int) -> pb.NextStepProto:
    return pb.NextStepProto(
        step=step.step,
        source=step.link.source if step.link is not None else "",
        target=step.link.target if step.link is not None else "",
        replicas=step.replicas,
        in_ms=step.in_ms,
        for_ms=now_ms - step.since_ms if step.since_ms else 0,
        ahead=step.ahead,
        from_address=step.source,
        to_addresses=step.targets,
    )
