"""Numbers of Hadoop RPC, each with its reason."""

from __future__ import annotations

FRAME_BYTES_MAX = 128 << 20
"""Hadoop's ipc.maximum.data.length, both ways: a longer frame closes the connection without an answer."""

IPC_VERSION = 9
"""The only version that Hadoop 2 and 3 speak."""

PROTOCOL_VERSION = 1
"""Version of every Java protocol served here, as stock names it in each call."""

CLIENT_ID_BYTES = 16
"""A random UUID, drawn once a client; with the call id it is the key of the retry cache."""

CALL_ID_MAX = (1 << 31) - 1
"""Java's call ids are non-negative ints and start again at 0."""

METHOD_NAME_CHARS_MAX = 256
"""Longest name echoed in an error: a hostile name is cut, not repeated in full."""

ERROR_CHARS_MAX = 1 << 16
"""Longest text of an error that a client keeps: Java's stack lines fit, a hostile server's do not fill the memory."""

HANDSHAKE_FRAME_BYTES_MAX = 1 << 20
"""Longest frame before the connection context. Deviation: stock takes 128 MiB from a peer that gave no name yet."""

HEADER_CACHE_ENTRIES_MAX = 1024
"""Request headers (method, protocol, version) remembered by their bytes: all methods fit several times."""

HEADER_CACHE_ENTRY_BYTES_MAX = 512
"""Longest request header that is remembered; real ones have about 80 bytes."""
