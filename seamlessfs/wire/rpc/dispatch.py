"""From a call to the method that serves it: the checks of protocol, version, method and body, in stock's order."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TypeVar

from google.protobuf.message import DecodeError, EncodeError, Message

from seamlessfs.model.errors import BadRequestBody, NoSuchMethod, NoSuchProtocol, RpcVersionMismatch
from seamlessfs.wire.convert.integers import to_signed
from seamlessfs.wire.rpc.events import Call
from seamlessfs.wire.rpc.limits import METHOD_NAME_CHARS_MAX, PROTOCOL_VERSION
from seamlessfs.wire.rpc.text import find_invalid_string

Served = TypeVar("Served")
Request = TypeVar("Request", bound=Message)


def find_method(call: Call, services: Mapping[str, Mapping[str, Served]]) -> Served:
    """What `services` has for the protocol and method of a call.

    Raises:
        NoSuchProtocol, RpcVersionMismatch, NoSuchMethod: with stock's texts; some clients fall back on the last.
    """
    methods = services.get(call.protocol)
    if methods is None:
        raise NoSuchProtocol(f"Unknown protocol: {call.protocol[:METHOD_NAME_CHARS_MAX]}")
    if call.version != PROTOCOL_VERSION:
        raise RpcVersionMismatch(
            f"Protocol {call.protocol} version mismatch. "
            f"(client = {to_signed(call.version)}, server = {PROTOCOL_VERSION})"
        )
    served = methods.get(call.method)
    if served is None:
        name = call.method[:METHOD_NAME_CHARS_MAX]
        raise NoSuchMethod(f"Unknown method {name} called on {call.protocol} protocol.")
    return served


def parse_body(call: Call, request_class: type[Request]) -> Request:
    """The request of a call.

    Raises:
        BadRequestBody: it is not a message of this class, lacks a required field, or a string is not UTF-8.
            Deviation: stock replaces the bytes of such a string, and then works on another path than was meant.
    """
    request = request_class()
    name = request_class.__name__
    if call.body is None:
        raise BadRequestBody(f"Frame of {call.method} ends inside its {name}: send the message with its length")
    try:
        request.ParseFromString(call.body)
    except DecodeError as error:
        raise BadRequestBody(f"Body of {call.method} is not a {name}: {error}") from None
    if not request.IsInitialized():
        raise BadRequestBody(f"Message missing required fields: {_missing_fields(request)}")
    if not call.body.isascii():
        invalid = find_invalid_string(request)
        if invalid is not None:
            raise BadRequestBody(f"Field {invalid} of {name} is not valid UTF-8: send its text in UTF-8")
    return request


def _missing_fields(request: Message) -> str:
    try:
        request.SerializeToString()
    except EncodeError as error:
        return str(error).rpartition("fields: ")[2]
    return ""
