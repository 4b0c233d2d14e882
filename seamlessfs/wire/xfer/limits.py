"""Bounds of the transfer protocol, each with its reason."""

from __future__ import annotations

packet_bytes_max = 16 << 20
"""Header, checksums and data of one packet: what HDFS's own receivers accept."""

packet_header_bytes_max = 1 << 10
"""Ours and HDFS's headers have 25 or 27 bytes; room for fields that later versions add."""

op_bytes_max = 1 << 20
"""An operation lists its pipeline: about 200 bytes a datanode, so a thousand fit and a garbage length does not."""

ack_bytes_max = 1 << 16
"""An ack has about 10 bytes a datanode of the pipeline."""
