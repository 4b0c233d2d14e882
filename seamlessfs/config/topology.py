"""The topology file: which addresses are in which IDC and rack.

Shape: one rule a line, `network-or-host /IDC/rack`; `#` starts a comment. The longest prefix wins.
"""

from __future__ import annotations

import ipaddress
import socket
from collections.abc import Callable
from pathlib import Path

from seamlessfs.model.cluster import Location
from seamlessfs.model.errors import ConfigurationError

TopologyRules = tuple[tuple[str, Location], ...]
"""Networks in CIDR form with their places."""


def load_topology(file: Path) -> TopologyRules:
    """Reads the rules of a topology file.

    Raises:
        ConfigurationError: the file cannot be read, or a line is not a rule or contradicts an earlier one; the message
            names file and line.
    """
    try:
        text = file.read_text(encoding="utf-8")
    except OSError as error:
        raise ConfigurationError(f"cannot read the topology file {file}: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise ConfigurationError(f"cannot read the topology file {file}: not UTF-8 at byte {error.start}") from error
    return parse_topology(text, str(file))


def resolve_host(name: str) -> str:
    """The first address of a host. Raises OSError when it has none."""
    return str(socket.getaddrinfo(name, None)[0][4][0])


def parse_topology(text: str, place: str, resolve: Callable[[str], str] = resolve_host) -> TopologyRules:
    """The rules of a topology file's text; errors as `load_topology`, with `place` for the file."""
    rules: dict[str, Location] = {}
    for number, line in enumerate(text.splitlines(), 1):
        if words := line.partition("#")[0].split():
            network, location = _rule(words, f"{place}:{number}", resolve)
            earlier = rules.setdefault(network, location)
            if earlier != location:
                raise ConfigurationError(f"{place}:{number}: {network} is in {earlier} already, by an earlier line")
    return tuple(rules.items())


def _rule(words: list[str], place: str, resolve: Callable[[str], str]) -> tuple[str, Location]:
    if len(words) != 2:
        raise ConfigurationError(f"{place}: expected `network-or-host /IDC/rack`, got {' '.join(words)!r}")
    try:
        return _network(words[0], resolve), Location.parse(words[1])
    except ValueError as error:
        raise ConfigurationError(f"{place}: {error}") from error


def _network(text: str, resolve: Callable[[str], str]) -> str:
    try:
        return str(ipaddress.ip_network(text))
    except ValueError:
        if "/" in text:
            raise
    try:
        address = resolve(text)
    except (OSError, UnicodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else str(error)
        raise ValueError(f"{text} is neither a network nor a known host: {reason}") from error
    return str(ipaddress.ip_network(address))
