"""What one packet counts for.

Shape of what a TUN device with IFF_VNET_HDR gives, for TCP over IPv4 (a packet may stand for several segments, which
the network card, or whoever takes it, cuts to `gso_bytes` of payload each)::

    u8 flags | u8 gso_type | u16 header_bytes | u16 gso_bytes | u16 csum_start | u16 csum_offset | IPv4 | TCP | payload

The first part is in the machine's byte order.
"""

from __future__ import annotations

import struct

VNET_HEADER_BYTES = 10
TCP = 6
IPV4_HEADER_BYTES_MIN = 20
TCP_HEADER_BYTES_MIN = 20


def measure(packet: bytes) -> tuple[int, int]:
    """Bytes of TCP payload, and of all segments with their IP and TCP headers; (0, all of it) for anything else."""
    ip_bytes = len(packet) - VNET_HEADER_BYTES
    if ip_bytes < IPV4_HEADER_BYTES_MIN + TCP_HEADER_BYTES_MIN or packet[VNET_HEADER_BYTES] >> 4 != 4:
        return 0, max(0, ip_bytes)
    ip_header = (packet[VNET_HEADER_BYTES] & 15) * 4
    if packet[VNET_HEADER_BYTES + 9] != TCP or ip_bytes < ip_header + TCP_HEADER_BYTES_MIN:
        return 0, ip_bytes
    headers = ip_header + (packet[VNET_HEADER_BYTES + ip_header + 12] >> 4) * 4
    payload = max(0, ip_bytes - headers)
    gso_type, gso_bytes = packet[1], struct.unpack_from("=H", packet, 4)[0]
    segments = -(-payload // gso_bytes) if gso_type and gso_bytes else 1
    return payload, ip_bytes + max(0, segments - 1) * headers
