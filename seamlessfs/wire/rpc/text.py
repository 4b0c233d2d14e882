"""Strings of messages: Python's protobuf hands out one that is not UTF-8 as bytes, which no handler should meet."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from google.protobuf.descriptor import FieldDescriptor
from google.protobuf.message import Message


def as_text(value: str) -> str:
    """The string of a field, with what is not UTF-8 replaced, as Java reads it."""
    raw: object = value
    return raw.decode(errors="replace") if isinstance(raw, bytes) else value


def find_invalid_string(message: Message) -> str | None:
    """Path of a string field that is not UTF-8, or None. Cost: a look at every field that is set."""
    for field, value in message.ListFields():
        values: Iterable[Any] = [value] if isinstance(value, str | bytes | Message) else value
        if field.type == FieldDescriptor.TYPE_STRING:
            if not all(isinstance(item, str) for item in values):
                return str(field.name)
        elif field.type == FieldDescriptor.TYPE_MESSAGE:
            for item in values:
                inner = find_invalid_string(item)
                if inner is not None:
                    return f"{field.name}.{inner}"
    return None
