"""How much of a block that is still being written can be read: its datanodes know."""

from __future__ import annotations

from seamlessfs.client.rpc import NO_RETRY, RpcChannel
from seamlessfs.client.session import Session
from seamlessfs.model.block import LocatedBlock, ReplicaLocation
from seamlessfs.model.errors import NoLiveReplica, ReplicaNotFound, SeamlessError
from seamlessfs.wire.convert.blocks import extended_block_to_pb
from seamlessfs.wire.convert.integers import to_signed
from seamlessfs.wire.pb.hadoop import client_datanode_pb2 as pb
from seamlessfs.wire.rpc.protocols import CLIENT_DATANODE_PROTOCOL


def fetch_visible_length(session: Session, located: LocatedBlock, path: str) -> int:
    """Bytes of an open block that can be read: asked of its datanodes in turn.

    Returns:
        0 as well when the block has no datanodes yet, or when all of them say that they have no replica.

    Raises:
        NoLiveReplica: a datanode could not be asked and no other one knew.
    """
    failures = []
    for replica in located.locations:
        try:
            length = _ask(session, replica, located)
        except ReplicaNotFound:
            continue
        except (SeamlessError, OSError) as error:
            failures.append(f"{replica.datanode.id.ip}:{replica.datanode.id.ipc_port}: {error}")
        else:
            if length >= 0:
                return length
            failures.append(f"{replica.datanode.id.ip}:{replica.datanode.id.ipc_port}: its replica waits for recovery")
    if failures:
        raise NoLiveReplica(
            f"Cannot tell the length of {path}: its last block blk_{located.block.block.id} is being written and "
            f"no datanode of it answers: {'; '.join(failures)}"
        )
    return 0


def _ask(session: Session, replica: ReplicaLocation, located: LocatedBlock) -> int:
    options = session.options
    node = replica.datanode.id
    host = node.hostname if options.use_datanode_hostname else node.ip
    channel = RpcChannel(
        [(host, node.ipc_port)],
        user=options.user,
        real_user=options.real_user,
        connect_timeout_s=options.connect_timeout_s,
        call_timeout_s=options.read_timeout_s,
        source_address=options.source_address,
        retry=NO_RETRY,
    )
    try:
        request = pb.GetReplicaVisibleLengthRequestProto(block=extended_block_to_pb(located.block))
        reply = channel.call(CLIENT_DATANODE_PROTOCOL, "getReplicaVisibleLength", request)
        assert isinstance(reply, pb.GetReplicaVisibleLengthResponseProto)
        return to_signed(reply.length)
    finally:
        channel.close()
