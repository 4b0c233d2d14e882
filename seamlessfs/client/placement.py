"""PlacementProtocol: where replicas are, what is owed, what crossed. Only our own namenode speaks it."""

from __future__ import annotations

from seamlessfs.client.client import Client
from seamlessfs.wire.pb.seamless import placement_pb2 as pb
from seamlessfs.wire.rpc.protocols import PLACEMENT_PROTOCOL


def fetch_placement(client: Client, path: str) -> pb.GetPlacementResponseProto:
    """Every replica of a file and what its policy says about them.

    Raises:
        FileNotFound: there is no such file. NoSuchProtocol: the server is a stock HDFS.
    """
    request = pb.GetPlacementRequestProto(path=path)
    answer = client.namenode.channel.call(PLACEMENT_PROTOCOL, "getPlacement", request)
    assert isinstance(answer, pb.GetPlacementResponseProto)
    return answer


def fetch_explanation(client: Client, path: str = "", block_id: int = 0) -> pb.ExplainResponseProto:
    """Why replicas are where they are, what is owed and what happens next: of a file, or of one block.

    Raises:
        FileNotFound: there is no such file or block. AccessDenied: a block is for superusers.
    """
    request = pb.ExplainRequestProto(path=path, block_id=block_id)
    answer = client.namenode.channel.call(PLACEMENT_PROTOCOL, "explain", request)
    assert isinstance(answer, pb.ExplainResponseProto)
    return answer


def fetch_traffic(client: Client) -> pb.GetTrafficResponseProto:
    """What crossed between IDCs as both ends counted it, and what is owed."""
    answer = client.namenode.channel.call(PLACEMENT_PROTOCOL, "getTraffic", pb.GetTrafficRequestProto())
    assert isinstance(answer, pb.GetTrafficResponseProto)
    return answer


def fetch_health(client: Client) -> pb.GetHealthResponseProto:
    """Every queue of the namenode and the oldest of what waits.

    Raises:
        AccessDenied: the caller is no superuser.
    """
    answer = client.namenode.channel.call(PLACEMENT_PROTOCOL, "getHealth", pb.GetHealthRequestProto())
    assert isinstance(answer, pb.GetHealthResponseProto)
    return answer
