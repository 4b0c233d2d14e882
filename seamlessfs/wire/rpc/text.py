"""Strings of messages: Python's protobuf hands out one that is not UTF-8 as bytes, which no handler should meet."""

from __future__ import annotations

from functools import cache

from google.protobuf.descriptor import Descriptor, FieldDescriptor
from google.protobuf.message import Message


def text_of(message: Message, field: str) -> str:
    """The string of a field, with what is not UTF-8 replaced, as Java reads it."""
    value = getattr(message, field)
    return value.decode(errors="replace") if isinstance(value, bytes) else str(value)


def find_invalid_string(message: Message) -> str | None:
    """Path of a string field that is not UTF-8, or None. Cost: a look at every field that may hold one."""
    for name, repeated, holds_messages in _text_fields(message.DESCRIPTOR):
        if holds_messages and not repeated and not message.HasField(name):
            continue
        value = getattr(message, name)
        for item in value if repeated else (value,):
            if not holds_messages:
                if not isinstance(item, str):
                    return name
            elif (inner := find_invalid_string(item)) is not None:
                return f"{name}.{inner}"
    return None


@cache
def _text_fields(descriptor: Descriptor, outer: tuple[Descriptor, ...] = ()) -> tuple[tuple[str, bool, bool], ...]:
    """Name of each field with strings in it, whether it is repeated, and whether they are below it."""
    found = []
    for field in descriptor.fields:
        below = field.type == FieldDescriptor.TYPE_MESSAGE
        if field.type == FieldDescriptor.TYPE_STRING or (below and _may_hold_text(field.message_type, outer)):
            found.append((field.name, field.is_repeated, below))
    return tuple(found)


def _may_hold_text(descriptor: Descriptor | None, outer: tuple[Descriptor, ...]) -> bool:
    """Of messages that hold their own kind, it is assumed."""
    return descriptor is not None and (descriptor in outer or bool(_text_fields(descriptor, (*outer, descriptor))))
