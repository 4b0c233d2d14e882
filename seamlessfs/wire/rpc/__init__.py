"""Hadoop RPC version 9, both sides, without a socket.

A connection object is fed the bytes that arrived, in whatever pieces, and answers with events; what has to be written
is bytes, too. Every odd input of a peer has one answer, stock Hadoop's. Nothing a peer sends makes a connection
object raise anything but `ProtocolError`, or hold more than one frame of `limits.FRAME_BYTES_MAX`.

Read `frames` (the layout), `events` (what a server sees), `server`, `client`, then `protocols` (which message belongs
to which method) and `exceptions` (our errors and Java's).
"""
