"""Bytes that crossed between IDCs, counted where they are sent and received.

`payload` is file data alone; `wire` is everything on the socket: headers, checksums, acks, requests.
"""

from __future__ import annotations

import ipaddress
import threading
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Literal

from seamlessfs.model.cluster import UNKNOWN_IDC, Link, Location
from seamlessfs.model.errors import ConfigurationError

TrafficClass = Literal["write", "read", "replication", "checksum"]


@dataclass(frozen=True, slots=True)
class Traffic:
    """Bytes of one link and class since the start of the process. Units: bytes."""

    payload_sent: int = 0
    payload_received: int = 0
    wire_sent: int = 0
    wire_received: int = 0

    def __add__(self, other: Traffic) -> Traffic:
        return Traffic(
            self.payload_sent + other.payload_sent,
            self.payload_received + other.payload_received,
            self.wire_sent + other.wire_sent,
            self.wire_received + other.wire_received,
        )


class IdcResolver:
    """Finds the location of an address by topology rules; the longest prefix wins."""

    def __init__(self, rules: Iterable[tuple[str, Location]] = ()) -> None:
        """Takes rules (network as CIDR or host, location).

        Raises:
            ConfigurationError: a network that is none.
        """
        self._by_prefix: dict[tuple[int, int], dict[int, Location]] = {}
        for text, location in rules:
            try:
                network = ipaddress.ip_network(text, strict=False)
            except ValueError as error:
                raise ConfigurationError(f"topology rule {text!r} -> {location}: not a network: {error}") from error
            level = self._by_prefix.setdefault((network.version, network.prefixlen), {})
            level[int(network.network_address)] = location
        self._levels = sorted(self._by_prefix, key=lambda level: -level[1])

    def locate(self, address: str) -> Location | None:
        """The location of a numeric address, or None if no rule covers it."""
        try:
            ip = ipaddress.ip_address(address.partition("%")[0])
        except ValueError:
            return None
        if isinstance(ip, ipaddress.IPv6Address) and ip.ipv4_mapped is not None:
            ip = ip.ipv4_mapped
        value, bits = int(ip), ip.max_prefixlen
        for version, prefix in self._levels:
            if version == ip.version:
                host_bits = bits - prefix
                found = self._by_prefix[version, prefix].get(value >> host_bits << host_bits)
                if found is not None:
                    return found
        return None


class TrafficCounter:
    """Counters by directed link and class. Thread-safe; add once a packet or once a transfer, not once a byte.

    Attributes:
        resolver: topology rules of the moment; replaced as a whole when they change.
    """

    def __init__(self, resolver: IdcResolver | None = None) -> None:
        self.resolver = resolver or IdcResolver()
        self._lock = threading.Lock()
        self._counts: dict[tuple[Link, TrafficClass], Traffic] = {}

    def add(
        self,
        link: Link,
        kind: TrafficClass,
        *,
        payload_sent: int = 0,
        payload_received: int = 0,
        wire_sent: int = 0,
        wire_received: int = 0,
    ) -> None:
        """Counts bytes that travelled in the direction of `link`: sent by its source, or received by its target."""
        more = Traffic(payload_sent, payload_received, wire_sent, wire_received)
        key = (link, kind)
        with self._lock:
            known = self._counts.get(key)
            self._counts[key] = more if known is None else known + more

    def link(self, source_address: str, target_address: str) -> Link:
        """The link between two numeric addresses; an address that no rule covers is in the IDC `unknown`."""
        places = (self.resolver.locate(source_address), self.resolver.locate(target_address))
        source, target = (place.idc if place else UNKNOWN_IDC for place in places)
        return Link(source, target)

    def snapshot(self) -> Mapping[tuple[Link, TrafficClass], Traffic]:
        """A copy of all counters."""
        with self._lock:
            return dict(self._counts)
