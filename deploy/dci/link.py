"""One direction between two IDCs: a TUN device, and the packets that are under way."""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import os
import struct
from collections import deque
from dataclasses import asdict, dataclass

from deploy.dci.packet import measure
from deploy.dci.shaper import Shaper

TUNSETIFF = 0x400454CA
TUNSETOFFLOAD = 0x400454D0
IFF_TUN, IFF_NO_PI, IFF_VNET_HDR = 0x0001, 0x1000, 0x4000
TUN_F_CSUM, TUN_F_TSO4 = 1, 2
PACKET_BYTES_MAX = 65535 + 64
PACKETS_AT_ONCE = 64
"""Packets taken from one device before the others, and the control socket, have their turn."""
HELD_BYTES_MAX = 64 << 20
"""What may be under way on one link: a gigabit a second for half a second."""


@dataclass
class Counts:
    """What a link has carried since the router started; what it dropped is not in it.

    Attributes:
        payload_bytes: of TCP, a retransmission again.
        ip_bytes: with the headers of IP and TCP.
        packets: as the kernel gave them, each of up to 64 KiB.
        dropped: packets lost because the link was cut or full.
    """

    payload_bytes: int = 0
    ip_bytes: int = 0
    packets: int = 0
    dropped: int = 0


class Link:
    """Traffic from one IDC to another.

    Owner: the event loop's thread.
    """

    def __init__(self, source: str, target: str) -> None:
        self.source, self.target = source, target
        self.shaper = Shaper()
        self.delay_s = 0.0
        self.counts = Counts()
        self._held: deque[tuple[float, bytes]] = deque()
        self._held_bytes = 0
        self._timer: asyncio.TimerHandle | None = None
        self._file = self._open()

    @property
    def name(self) -> str:
        return f"{self.source}>{self.target}"

    @property
    def device(self) -> str:
        return f"dci-{self.source}-{self.target}"

    def _open(self) -> int:
        file = os.open("/dev/net/tun", os.O_RDWR | os.O_NONBLOCK | os.O_CLOEXEC)
        flags = IFF_TUN | IFF_NO_PI | IFF_VNET_HDR
        fcntl.ioctl(file, TUNSETIFF, struct.pack("16sH22x", self.device.encode(), flags))
        fcntl.ioctl(file, TUNSETOFFLOAD, TUN_F_CSUM | TUN_F_TSO4)
        return file

    def start(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        loop.add_reader(self._file, self._take)

    def status(self) -> dict[str, object]:
        return {
            "link": self.name,
            "cut": self.shaper.cut,
            "rate_bytes_per_s": self.shaper.rate_bytes_per_s,
            "delay_s": self.delay_s,
            **asdict(self.counts),
        }

    def cut(self, cut: bool) -> None:
        """Cuts or heals; what is under way at a cut is lost."""
        self.shaper.cut = cut
        if cut:
            self.counts.dropped += len(self._held)
            self._held.clear()
            self._held_bytes = 0

    def _take(self) -> None:
        """Takes what the kernel has for this link."""
        for _ in range(PACKETS_AT_ONCE):
            try:
                packet = os.read(self._file, PACKET_BYTES_MAX)
            except BlockingIOError:
                return
            now_s = self._loop.time()
            arrival_s = self.shaper.arrival_s(now_s, measure(packet)[1])
            if arrival_s is None or self._held_bytes + len(packet) > HELD_BYTES_MAX:
                self.counts.dropped += 1
            elif arrival_s <= now_s and not self._held:
                self._give(packet)
            else:
                self._held.append((arrival_s, packet))
                self._held_bytes += len(packet)
                self._wait()

    def _wait(self) -> None:
        if self._timer is None and self._held:
            self._timer = self._loop.call_at(self._held[0][0], self._give_due)

    def _give_due(self) -> None:
        self._timer = None
        while self._held and self._held[0][0] <= self._loop.time():
            _, packet = self._held.popleft()
            self._held_bytes -= len(packet)
            self._give(packet)
        self._wait()

    def _give(self, packet: bytes) -> None:
        """Hands a packet back to the kernel, which routes it on; one that it refuses is lost, as on a wire."""
        payload, ip_bytes = measure(packet)
        self.counts.payload_bytes += payload
        self.counts.ip_bytes += ip_bytes
        self.counts.packets += 1
        with contextlib.suppress(OSError):
            os.write(self._file, packet)
