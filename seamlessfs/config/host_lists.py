"""The include and exclude files: which hosts may be datanodes, and which are decommissioned.

Shape: names or numeric addresses, each with `:transfer-port` where only one datanode of the host is meant, separated by
blanks or lines; `#` starts a comment. As dfs.hosts and dfs.hosts.exclude.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Callable, Iterator
from pathlib import Path

from seamlessfs.config.topology import resolve_host
from seamlessfs.model.errors import ConfigurationError
from seamlessfs.model.host_lists import ANY_PORT, HostLists, ListedHost


def load_host_lists(
    include: Path | None, exclude: Path | None, resolve: Callable[[str], str] = resolve_host
) -> tuple[HostLists, tuple[str, ...]]:
    """Reads both files.

    Returns:
        The lists, and the names that have no address. They are in no list: a machine that is gone for good, and its
        name with it, must not keep a namenode from starting. An include file without a name admits everybody, one
        whose names all have no address nobody.

    Raises:
        ConfigurationError: a file cannot be read, or a port in it is none; the message names the file.
    """
    unknown: list[str] = []
    included = frozenset(_hosts(include, resolve, unknown))
    restricted = bool(included or unknown)
    excluded = frozenset(_hosts(exclude, resolve, unknown))
    return HostLists(included if restricted else None, excluded), tuple(unknown)


def _hosts(file: Path | None, resolve: Callable[[str], str], unknown: list[str]) -> Iterator[ListedHost]:
    if file is None:
        return
    try:
        text = file.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else f"not UTF-8 at byte {error.start}"
        raise ConfigurationError(f"cannot read the list of hosts {file}: {reason}") from error
    for number, line in enumerate(text.splitlines(), 1):
        for word in line.partition("#")[0].split():
            try:
                name, port = _split(word)
            except ValueError as error:
                raise ConfigurationError(f"{file}:{number}: {word!r} is neither a host nor host:port") from error
            try:
                yield ListedHost(str(ipaddress.ip_address(resolve(name))), port)
            except (OSError, UnicodeError):
                unknown.append(word)


def _split(word: str) -> tuple[str, int]:
    """Host and port; a bare IPv6 address has colons of its own."""
    try:
        return str(ipaddress.ip_address(word)), ANY_PORT
    except ValueError:
        name, colon, port = word.rpartition(":")
    if not colon:
        return word, ANY_PORT
    number = int(port)
    if not name or not 0 < number < 1 << 16:
        raise ValueError(word)
    return name.strip("[]"), number
