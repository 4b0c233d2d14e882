"""An existing Hadoop configuration directory, as far as a client needs it.

Reads `core-site.xml` and `hdfs-site.xml`: names and values, `final`, `${...}` and deprecated names. Unknown names
are kept and ignored. Deviation: `xi:include` is not followed, and a document with a DTD is refused, since a
configuration file must not make a client open other files.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from xml.parsers import expat

from seamlessfs.model.errors import ConfigurationError

DEFAULT_RPC_PORT = 8020
FILES = ("core-site.xml", "hdfs-site.xml")
EXPANSIONS_MAX = 20
"""Rounds of `${...}` that a value may take, as in Hadoop."""

DEPRECATED_NAMES = {
    "fs.default.name": "fs.defaultFS",
    "dfs.block.size": "dfs.blocksize",
    "dfs.umaskmode": "fs.permissions.umask-mode",
    "dfs.socket.timeout": "dfs.client.socket-timeout",
    "dfs.write.packet.size": "dfs.client-write-packet-size",
    "io.bytes.per.checksum": "dfs.bytes-per-checksum",
}

_VARIABLE = re.compile(r"\$\{([^${}\s]+)\}")
_SIZE = re.compile(r"\s*(\d+)\s*([kmgtpe]?)\s*", re.IGNORECASE)
_TIME = re.compile(r"\s*(\d+)\s*(ms|s|m|h)?\s*", re.IGNORECASE)
_TIME_UNIT_MS = {"ms": 1, "s": 1000, "m": 60_000, "h": 3_600_000}


@dataclass(frozen=True, slots=True)
class HadoopConfiguration:
    """Values by name, with deprecated names already replaced. `origin` says where they came from, for messages."""

    values: Mapping[str, str]
    origin: str = "Hadoop configuration"

    def get(self, name: str) -> str | None:
        """The value of `name` with its variables replaced; None when it is not set or empty.

        Raises:
            ConfigurationError: the variables go in a circle.
        """
        value = self.values.get(name)
        if value is None:
            return None
        for _ in range(EXPANSIONS_MAX):
            expanded = _VARIABLE.sub(lambda match: self.values.get(match[1], match[0]), value)
            if expanded == value:
                return value.strip() or None
            value = expanded
        raise ConfigurationError(f"{self.origin}: the variables of {name} go in a circle: {self.values[name]!r}")

    def names(self, name: str) -> tuple[str, ...]:
        """A comma-separated value as a tuple; empty when it is not set."""
        return tuple(part for part in (text.strip() for text in (self.get(name) or "").split(",")) if part)

    def size_bytes(self, name: str) -> int | None:
        """A size such as `134217728` or `128m`."""
        text = self.get(name)
        if text is None:
            return None
        match = _SIZE.fullmatch(text)
        if match is None:
            raise self._wrong(name, text, "a size such as 134217728 or 128m")
        exponent = " kmgtpe".index(match[2].lower() or " ")
        return int(match[1]) << (10 * exponent)

    def integer(self, name: str) -> int | None:
        text = self.get(name)
        if text is None:
            return None
        try:
            return int(text)
        except ValueError:
            raise self._wrong(name, text, "a whole number") from None

    def duration_s(self, name: str) -> float | None:
        """A time in milliseconds, or with a unit (`20s`), as seconds."""
        text = self.get(name)
        if text is None:
            return None
        match = _TIME.fullmatch(text)
        if match is None:
            raise self._wrong(name, text, "milliseconds, or a number with ms, s, m or h")
        return int(match[1]) * _TIME_UNIT_MS[(match[2] or "ms").lower()] / 1000

    def flag(self, name: str) -> bool | None:
        text = self.get(name)
        if text is None:
            return None
        if text.lower() not in ("true", "false"):
            raise self._wrong(name, text, "true or false")
        return text.lower() == "true"

    def umask(self) -> int | None:
        """`fs.permissions.umask-mode` in octal (`022`) or symbolic (`u=rwx,g=rx,o=`) form."""
        name = "fs.permissions.umask-mode"
        text = self.get(name)
        if text is None:
            return None
        if re.fullmatch(r"[0-7]{1,4}", text):
            return int(text, 8) & 0o777
        match = re.fullmatch(r"u=([rwx]*),g=([rwx]*),o=([rwx]*)", text)
        if match is None:
            raise self._wrong(name, text, "an octal number such as 022, or u=rwx,g=rx,o=rx")
        bits = {"r": 4, "w": 2, "x": 1}
        granted = 0
        for letters in match.groups():
            granted = granted << 3 | sum(bits[letter] for letter in set(letters))
        return 0o777 & ~granted

    def default_authority(self) -> str | None:
        """`host:port` or nameservice of `fs.defaultFS`; None when that is not set or is not an HDFS address."""
        scheme, separator, rest = (self.get("fs.defaultFS") or "").partition("://")
        if not separator or scheme not in ("hdfs", "seamless"):
            return None
        return rest.partition("/")[0] or None

    def nameservices(self) -> tuple[str, ...]:
        return self.names("dfs.nameservices")

    def namenodes(self, nameservice: str) -> tuple[tuple[str, int], ...]:
        """RPC addresses of the namenodes of a nameservice, in the order of the configuration.

        Raises:
            ConfigurationError: the nameservice is not configured, or a namenode of it has no usable address.
        """
        if nameservice not in self.nameservices():
            known = ", ".join(self.nameservices()) or "none"
            raise ConfigurationError(f"{self.origin}: no nameservice {nameservice!r}; dfs.nameservices has: {known}")
        members = self.names(f"dfs.ha.namenodes.{nameservice}")
        keys = [f"dfs.namenode.rpc-address.{nameservice}.{member}" for member in members]
        if not keys:
            keys = [f"dfs.namenode.rpc-address.{nameservice}"]
        return tuple(self._address(key) for key in keys)

    def _address(self, name: str) -> tuple[str, int]:
        text = self.get(name)
        if text is None:
            raise ConfigurationError(f"{self.origin}: {name} is not set; give it as host:port")
        return parse_address(text, name)

    def _wrong(self, name: str, text: str, expected: str) -> ConfigurationError:
        return ConfigurationError(f"{self.origin}: {name} is {text!r}; expected {expected}")


def parse_address(text: str, name: str, default_port: int = DEFAULT_RPC_PORT) -> tuple[str, int]:
    """Reads `host`, `host:port` or `[v6]:port`; `name` says in messages whose address it is.

    Raises:
        ConfigurationError: no host, or the port is not in 1..65535.
    """
    host, separator, port = text.strip().rpartition(":")
    if not separator or text.endswith("]"):
        host, port = text.strip(), str(default_port)
    host = host.removeprefix("[").removesuffix("]")
    if not host or not (port.isascii() and port.isdigit()) or not 0 < int(port) < 65536:
        raise ConfigurationError(f"{name} is {text!r}; expected host:port with a port in 1..65535")
    return host, int(port)


def load_hadoop_configuration(directory: Path) -> HadoopConfiguration:
    """Reads the site files of a configuration directory; a later file overrides an earlier one unless it is `final`.

    Raises:
        ConfigurationError: the directory holds none of the files, or one cannot be read or is not well-formed.
    """
    values: dict[str, str] = {}
    finals: set[str] = set()
    found = False
    for file in (directory / name for name in FILES):
        try:
            text = file.read_bytes()
        except FileNotFoundError:
            continue
        except OSError as error:
            raise ConfigurationError(f"cannot read {file}: {error.strerror}") from error
        found = True
        for name, value, final in parse_properties(text, str(file)):
            if name not in finals:
                values[name] = value
            if final:
                finals.add(name)
    if not found:
        raise ConfigurationError(f"{directory} holds neither {' nor '.join(FILES)}: not a Hadoop configuration")
    return HadoopConfiguration(values, str(directory))


def parse_properties(text: bytes, place: str) -> list[tuple[str, str, bool]]:
    """Name, value and `final` of each property of a Hadoop XML document.

    Raises:
        ConfigurationError: the document is not well-formed or has a DTD; the message names `place` and line.
    """
    reader = _PropertyReader(place)
    try:
        reader.parser.Parse(text, True)
    except expat.ExpatError as error:
        raise ConfigurationError(f"{place} is not well-formed XML: {error}") from error
    return reader.properties


class _PropertyReader:
    """Collects `<property>` elements; every other element, `xi:include` too, is passed over."""

    def __init__(self, place: str) -> None:
        self.place = place
        self.properties: list[tuple[str, str, bool]] = []
        self.parser = expat.ParserCreate()
        self.parser.StartElementHandler = self._start
        self.parser.EndElementHandler = self._end
        self.parser.CharacterDataHandler = self._data
        self.parser.StartDoctypeDeclHandler = self._doctype
        self._fields: dict[str, str] | None = None
        self._field = ""

    def _doctype(self, name: str, system_id: str | None, public_id: str | None, has_internal_subset: bool) -> None:
        raise ConfigurationError(f"{self.place}: a DTD is not allowed in a Hadoop configuration; remove the DOCTYPE")

    def _start(self, tag: str, attributes: dict[str, str]) -> None:
        if tag == "property":
            self._fields = dict(attributes)
        elif self._fields is not None:
            self._field = tag
            self._fields[tag] = ""

    def _end(self, tag: str) -> None:
        self._field = ""
        if tag != "property" or self._fields is None:
            return
        name = self._fields.get("name", "").strip()
        if name:
            final = self._fields.get("final", "").strip().lower() == "true"
            self.properties.append((DEPRECATED_NAMES.get(name, name), self._fields.get("value", ""), final))
        self._fields = None

    def _data(self, text: str) -> None:
        if self._fields is not None and self._field:
            self._fields[self._field] = self._fields.get(self._field, "") + text
