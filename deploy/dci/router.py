"""The router's process: links, and a socket on which it is told what they do.

Wire: one JSON object a line, one line each way: {"do": "status"}, {"do": "cut" | "heal", "from": "a", "to": "b"},
{"do": "rate", "value": bytes a second}, {"do": "delay", "value": seconds}; without from or to, every link that fits.
The answer is the list of all links, or {"error": ...}.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import json
import signal
from collections.abc import Iterable
from ipaddress import IPv4Network
from pathlib import Path
from typing import Any

from deploy.dci.link import Link
from deploy.dci.routes import delay_by_netem, lay


class Router:
    """All links between some IDCs."""

    def __init__(self, networks: dict[str, IPv4Network], outside: Iterable[IPv4Network]) -> None:
        self.links = [Link(source, target) for source, target in itertools.permutations(networks, 2)]
        lay(networks, outside, self.links)
        self.netem = all(delay_by_netem(link) for link in self.links)

    async def run(self, address: Path) -> None:
        """Carries packets, and obeys who connects to a socket at this path, until SIGTERM."""
        loop, stop = asyncio.get_running_loop(), asyncio.Event()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, stop.set)
        async with await asyncio.start_unix_server(self._serve, address):
            for link in self.links:
                link.start(loop)
            held_by = "netem" if self.netem else "this process"
            print(f"links {', '.join(link.name for link in self.links)}; delays by {held_by}", flush=True)
            await stop.wait()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(ConnectionError, asyncio.LimitOverrunError):
            while line := await reader.readline():
                try:
                    answer: Any = await self.obey(json.loads(line))
                except (ValueError, KeyError, TypeError) as error:
                    answer = {"error": f"{type(error).__name__}: {error}"}
                writer.write(json.dumps(answer).encode() + b"\n")
                await writer.drain()
        writer.close()

    async def obey(self, request: dict[str, Any]) -> list[dict[str, object]]:
        """Carries one request out.

        Raises:
            ValueError, KeyError, TypeError: it is not one, or names an IDC that is not there.
        """
        order = request["do"]
        for link in self._chosen(request):
            if order in ("cut", "heal"):
                link.cut(order == "cut")
            elif order == "rate":
                link.shaper.rate_bytes_per_s = float(request["value"])
            elif order == "delay":
                link.delay_s = float(request["value"])
                if self.netem:
                    await asyncio.to_thread(delay_by_netem, link)
                else:
                    link.shaper.delay_s = link.delay_s
            elif order != "status":
                raise ValueError(f"{order!r} is no order")
        return [link.status() for link in self.links]

    def _chosen(self, request: dict[str, Any]) -> list[Link]:
        source, target = request.get("from"), request.get("to")
        chosen = [link for link in self.links if source in (None, link.source) and target in (None, link.target)]
        if not chosen:
            raise ValueError(f"no link from {source or 'anywhere'} to {target or 'anywhere'}")
        return chosen
