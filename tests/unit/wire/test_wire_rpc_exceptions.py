"""Our errors and Java's classes, and the table of methods."""

from __future__ import annotations

import pytest

from seamlessfs.model import errors
from seamlessfs.model.errors import RemoteIOError, SeamlessError
from seamlessfs.wire.pb.hadoop.rpc_pb2 import RpcResponseHeaderProto
from seamlessfs.wire.rpc.exceptions import (
    ALIASES,
    CLASS_NAMES,
    IO_EXCEPTION,
    SENT_AS,
    class_name_for,
    code_for,
    error_for,
    message_for,
)
from seamlessfs.wire.rpc.protocols import AT_MOST_ONCE, CLIENT_PROTOCOL, PROTOCOLS, messages_of

ABSTRACT = {SeamlessError, errors.FilesystemError, RemoteIOError}


def concrete_errors() -> list[type[SeamlessError]]:
    found = [kind for kind in vars(errors).values() if isinstance(kind, type) and issubclass(kind, SeamlessError)]
    return [kind for kind in found if kind not in ABSTRACT]


@pytest.mark.parametrize("kind", concrete_errors())
def test_each_error_has_a_decided_class(kind: type[SeamlessError]) -> None:
    assert (kind in CLASS_NAMES) != (kind in SENT_AS)


@pytest.mark.parametrize("kind", CLASS_NAMES)
def test_there_and_back(kind: type[SeamlessError]) -> None:
    error = kind("why")
    back = error_for(class_name_for(error), message_for(error))
    assert type(back) is kind
    assert str(back) == "why"


def test_class_names_are_distinct() -> None:
    names = [*CLASS_NAMES.values(), *ALIASES]
    assert len(set(names)) == len(names)


def test_what_java_has_no_class_for_is_an_io_exception() -> None:
    assert class_name_for(errors.NotEnoughDatanodes("x")) == IO_EXCEPTION
    assert class_name_for(SeamlessError("x")) == IO_EXCEPTION
    assert class_name_for(KeyError("x")) == IO_EXCEPTION
    assert message_for(KeyError("x")) == "KeyError: 'x'"
    assert class_name_for(FileNotFoundError("a bug, not an answer")) == IO_EXCEPTION


def test_a_fenced_namenode_is_a_standby_to_its_clients() -> None:
    assert isinstance(error_for(class_name_for(errors.Fenced("x")), "x"), errors.StandbyServer)


def test_an_unknown_class_keeps_its_name_on_a_further_way() -> None:
    error = error_for("org.apache.hadoop.hdfs.protocol.SnapshotException", "no")
    assert isinstance(error, RemoteIOError)
    assert class_name_for(error) == "org.apache.hadoop.hdfs.protocol.SnapshotException"
    plain = error_for("", "no")
    assert isinstance(plain, RemoteIOError)
    assert plain.class_name == IO_EXCEPTION


def test_a_subclass_goes_out_as_its_nearest_base() -> None:
    class Special(errors.QuotaExceeded):
        pass

    assert class_name_for(Special("x")) == CLASS_NAMES[errors.QuotaExceeded]


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (errors.NoSuchMethod("x"), RpcResponseHeaderProto.ERROR_NO_SUCH_METHOD),
        (errors.NoSuchProtocol("x"), RpcResponseHeaderProto.ERROR_NO_SUCH_PROTOCOL),
        (errors.RpcVersionMismatch("x"), RpcResponseHeaderProto.ERROR_RPC_VERSION_MISMATCH),
        (errors.RpcServerError("x"), RpcResponseHeaderProto.ERROR_RPC_SERVER),
        (errors.FileNotFound("x"), RpcResponseHeaderProto.ERROR_APPLICATION),
        (ValueError("x"), RpcResponseHeaderProto.ERROR_APPLICATION),
    ],
)
def test_codes(error: Exception, code: int) -> None:
    assert code_for(error) == code


def test_each_method_has_messages_named_after_it() -> None:
    irregular = {"getFsStats": "GetFsStatus", "getHAServiceState": "HAServiceState"}
    for method, messages in PROTOCOLS[CLIENT_PROTOCOL].items():
        stem = irregular.get(method, method[0].upper() + method[1:])
        assert messages.request.DESCRIPTOR.name == f"{stem}RequestProto"
    assert len(PROTOCOLS[CLIENT_PROTOCOL]) == 110


def test_methods_that_need_the_retry_cache_exist() -> None:
    assert set(PROTOCOLS[CLIENT_PROTOCOL]) >= AT_MOST_ONCE
    assert {"create", "append", "rename", "rename2", "delete"} <= AT_MOST_ONCE
    assert not {"addBlock", "complete", "mkdirs", "fsync", "truncate", "getFileInfo"} & AT_MOST_ONCE


def test_unknown_names_have_no_messages() -> None:
    assert messages_of("x", "getFileInfo") is None
    assert messages_of(CLIENT_PROTOCOL, "x") is None
