"""What no client sends, sent to our namenode's port: answered with the bytes that stock HDFS was recorded with."""

from __future__ import annotations

import socket
from typing import Any

import pytest

from tests.golden.answers import SASL_OFFER, answered_state, comparable
from tests.golden.frames import Golden, load
from tests.golden.odd_inputs import odd_inputs
from tests.support.capture import split_frames

ODD = [golden for golden in load("rpc") if golden.client == "none"]
ANSWER_TIMEOUT_S = 20.0
SASL_SUCCESS = 0


def converse(address: str, golden: Golden) -> bytes:
    """Sends a recorded input; returns all that comes back until the server closes or has answered every call."""
    host, _, port = address.rpartition(":")
    expected = odd_inputs()[golden.scenario.removeprefix("odd-")].answers
    received = b""
    with socket.create_connection((host, int(port)), ANSWER_TIMEOUT_S) as connection:
        connection.sendall(golden.sent)
        while expected is None or len(split_frames(received)) < expected:
            data = connection.recv(1 << 16)
            if not data:
                assert expected is None, f"closed after {received!r}"
                return received
            received += data
    return received


@pytest.mark.parametrize("golden", ODD, ids=lambda golden: golden.scenario)
def test_our_namenode_answers_as_stock_does(golden: Golden, mini: Any) -> None:
    received = converse(mini.namenode_address, golden)
    if golden.scenario == SASL_OFFER:
        assert answered_state(received) == SASL_SUCCESS
    else:
        assert comparable(received, golden) == comparable(golden.received, golden)


def test_our_namenode_is_still_there_afterwards(mini: Any) -> None:
    golden = next(one for one in ODD if one.scenario == "odd-ping")
    assert comparable(converse(mini.namenode_address, golden), golden) == comparable(golden.received, golden)
