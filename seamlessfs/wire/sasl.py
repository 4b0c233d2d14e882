"""SASL inside Hadoop RPC, as a server without security answers it: every negotiation ends as "simple"."""

from __future__ import annotations

from dataclasses import dataclass

from seamlessfs.model.errors import AccessDenied
from seamlessfs.wire.pb.hadoop.rpc_pb2 import RpcSaslProto
from seamlessfs.wire.rpc.text import text_of

SIMPLE = "SIMPLE"


@dataclass(frozen=True, slots=True)
class SaslStep:
    """What to send (None: nothing), and whether the negotiation is over."""

    reply: RpcSaslProto | None
    done: bool


def answer_simple(message: RpcSaslProto) -> SaslStep:
    """One step of a server that offers SIMPLE only.

    NEGOTIATE is answered with SUCCESS, which clients take as "go on without SASL"; a client that picks SIMPLE by
    itself gets no answer. The connection context follows in both cases.

    Raises:
        AccessDenied: the client insists on another mechanism, or sent a state that has no place here.
    """
    if message.state == RpcSaslProto.NEGOTIATE:
        return SaslStep(RpcSaslProto(version=0, state=RpcSaslProto.SUCCESS), done=True)
    if message.state == RpcSaslProto.INITIATE:
        methods = [text_of(auth, "method") for auth in message.auths]
        if methods == [SIMPLE]:
            return SaslStep(None, done=True)
        raise AccessDenied(f"{', '.join(methods) or 'no'} authentication is not enabled.  Available:[{SIMPLE}]")
    name = RpcSaslProto.SaslState.Name(message.state)
    raise AccessDenied(f"Client sent unsupported state {name}")
