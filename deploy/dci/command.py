"""`dci status|counts|cut|heal|rate|delay`, and `dci run`, which is the router itself."""

from __future__ import annotations

import argparse
import asyncio
import json
import re
import socket
import sys
from collections.abc import Sequence
from ipaddress import IPv4Network
from pathlib import Path
from typing import Any

SOCKET = Path("/run/dci.socket")
BITS = {"kbit": 1e3, "mbit": 1e6, "gbit": 1e9}
SECONDS = {"us": 1e-6, "ms": 1e-3, "s": 1.0}
TIMEOUT_S = 10.0


def amount(text: str, units: dict[str, float]) -> float:
    """The value of `200mbit` or `5ms` in the base unit; 0 for `off`."""
    if text == "off":
        return 0.0
    match = re.fullmatch(r"(\d+(?:\.\d+)?)([a-z]+)", text)
    if match is None or match[2] not in units:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number with {', '.join(units)}, or `off`")
    return float(match[1]) * units[match[2]]


def rate(text: str) -> float:
    return amount(text, BITS) / 8


def delay(text: str) -> float:
    return amount(text, SECONDS)


def network(text: str) -> tuple[str, IPv4Network]:
    name, _, cidr = text.partition("=")
    if re.fullmatch(r"[a-z0-9]{1,5}", name) is None:  # an interface's name has at most 15 characters
        raise argparse.ArgumentTypeError(f"{text!r} is not NAME=NETWORK with a name of at most 5 letters and digits")
    return name, IPv4Network(cidr)


def parser() -> argparse.ArgumentParser:
    top = argparse.ArgumentParser(prog="dci", description="The links between the IDCs, one for each direction.")
    orders = top.add_subparsers(dest="do", required=True, metavar="COMMAND")
    run = orders.add_parser("run", help="be the router until SIGTERM")
    run.add_argument("idc", nargs="+", type=network, help="NAME=NETWORK of an IDC")
    run.add_argument("--outside", action="append", default=[], type=IPv4Network, help="network that is in no IDC")
    chosen = argparse.ArgumentParser(add_help=False)
    chosen.add_argument("--from", help="only links from this IDC")
    chosen.add_argument("--to", help="only links to this IDC")
    chosen.add_argument("--json", action="store_true", help="print all that is known, as JSON")
    for order, purpose in (("status", "show each link"), ("counts", "show bytes of TCP payload on each link")):
        orders.add_parser(order, parents=[chosen], help=purpose)
    orders.add_parser("cut", parents=[chosen], help="let nothing through")
    orders.add_parser("heal", parents=[chosen], help="let everything through again")
    orders.add_parser("rate", parents=[chosen], help="200mbit, off").add_argument("value", type=rate)
    orders.add_parser("delay", parents=[chosen], help="5ms one way, off").add_argument("value", type=delay)
    return top


def ask(request: dict[str, Any]) -> list[dict[str, Any]]:
    """Tells the router what to do.

    Raises:
        SystemExit: it is not running, or refuses.
    """
    with socket.socket(socket.AF_UNIX) as connection:
        connection.settimeout(TIMEOUT_S)
        try:
            connection.connect(str(SOCKET))
            connection.sendall(json.dumps(request).encode() + b"\n")
            answer = json.loads(connection.makefile("rb").readline())
        except OSError as error:
            raise SystemExit(f"dci: the router does not answer: {error}") from error
    if isinstance(answer, dict):
        raise SystemExit(f"dci: {answer['error']}")
    return list(answer)


def describe(link: dict[str, Any]) -> str:
    state = "cut" if link["cut"] else "up"
    limit = f"{link['rate_bytes_per_s'] * 8 / 1e6:g}mbit" if link["rate_bytes_per_s"] else "off"
    held = f"{link['delay_s'] * 1e3:g}ms" if link["delay_s"] else "off"
    return (
        f"{link['link']}  {state:<3}  rate {limit}  delay {held}  "
        f"payload {link['payload_bytes']:,} B  ip {link['ip_bytes']:,} B  dropped {link['dropped']:,}"
    )


def main(arguments: Sequence[str] | None = None) -> int:
    chosen = vars(parser().parse_args(arguments))
    if chosen["do"] == "run":
        from deploy.dci.router import Router  # its libraries take longer to load than an order takes

        SOCKET.unlink(missing_ok=True)  # of a router before a restart of its container
        asyncio.run(Router(dict(chosen["idc"]), chosen["outside"]).run(SOCKET))
        return 0
    counts, as_json = chosen["do"] == "counts", chosen.pop("json")
    request = {key: value for key, value in chosen.items() if value is not None}
    links = ask({**request, "do": "status"} if counts else request)
    if as_json:
        print(json.dumps({link.pop("link"): link for link in links}))
    else:
        print("\n".join(f"{link['link']}  {link['payload_bytes']}" if counts else describe(link) for link in links))
    return 0


if __name__ == "__main__":
    sys.exit(main())
