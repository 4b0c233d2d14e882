"""The form of a write set."""

from __future__ import annotations

import pytest
import xxhash
from hypothesis import given, settings
from hypothesis import strategies as st

from seamlessfs.journal import record
from seamlessfs.model.errors import CorruptStore

WRITES = st.dictionaries(st.binary(max_size=40), st.one_of(st.none(), st.binary(max_size=60)), max_size=20)


@settings(derandomize=True, database=None, deadline=None)
@given(WRITES)
def test_round_trip_keeps_order(writes: dict[bytes, bytes | None]) -> None:
    decoded = record.decode(record.encode(writes))
    assert list(decoded.items()) == list(writes.items())


def test_the_form_is_fixed() -> None:
    """Journals that exist must stay readable: this is what they hold."""
    encoded = record.encode({b"a": b"xyz", b"bc": None})
    assert encoded[:-8].hex() == "0102000000" + "0100030000006178797a" + "0200ffffffff6263"
    assert encoded[-8:] == xxhash.xxh3_64_intdigest(encoded[:-8]).to_bytes(8, "little")


def test_every_damaged_byte_is_noticed() -> None:
    encoded = record.encode({b"key": b"value", b"gone": None})
    for index in range(len(encoded)):
        damaged = bytearray(encoded)
        damaged[index] ^= 0x10
        with pytest.raises(CorruptStore):
            record.decode(bytes(damaged))


def test_every_shorter_and_longer_payload_is_noticed() -> None:
    encoded = record.encode({b"key": b"value", b"gone": None})
    for cut in range(len(encoded)):
        with pytest.raises(CorruptStore):
            record.decode(encoded[:cut])
    with pytest.raises(CorruptStore):
        record.decode(encoded + b"\0")


def sealed(body: bytes) -> bytes:
    return body + xxhash.xxh3_64_intdigest(body).to_bytes(8, "little")


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ("0201000000", "version 2: this program reads 1"),
        ("0101000000", "ends within entry 0 of 1"),
        ("0100000000" + "00", "end at 5, not at 6"),
        ("0101000000" + "0100090000006178", "end at 21, not at 13"),
    ],
)
def test_a_payload_that_contradicts_itself_is_refused(body: str, message: str) -> None:
    with pytest.raises(CorruptStore, match=message):
        record.decode(sealed(bytes.fromhex(body)))
