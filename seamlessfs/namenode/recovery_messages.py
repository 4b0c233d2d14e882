"""The control stream's messages of a block's recovery, to and from what decides about it."""

from __future__ import annotations

from seamlessfs.blocks.commands import InitRecoveryCommand, UpdateReplicaCommand
from seamlessfs.blocks.recovery_choice import FoundReplica
from seamlessfs.model.block import ReplicaState
from seamlessfs.model.ids import DatanodeUuid, GenerationStamp, StorageId
from seamlessfs.wire.pb.seamless import control_pb2 as pb


def recovery_message(command: InitRecoveryCommand | UpdateReplicaCommand) -> pb.FromNamenode:
    if isinstance(command, UpdateReplicaCommand):
        return pb.FromNamenode(
            update_replica=pb.UpdateReplica(
                block_id=command.block_id, recovery_id=command.recovery_id, length=command.length
            )
        )
    return pb.FromNamenode(
        init_recovery=pb.InitRecovery(
            block_id=command.block_id,
            generation_stamp=command.generation_stamp,
            recovery_id=command.recovery_id,
            storage_id=command.storage_id,
        )
    )


def found_replica(uuid: DatanodeUuid, info: pb.RecoveryInfo) -> FoundReplica:
    return FoundReplica(
        uuid=uuid,
        found=info.found,
        state=ReplicaState(info.state),
        generation_stamp=GenerationStamp(info.generation_stamp),
        length=info.length,
        storage_id=StorageId(info.storage_id),
        error=info.error,
        running_since=GenerationStamp(info.running_since_stamp),
    )
