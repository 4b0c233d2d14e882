"""Options that Hadoop's tools have in common: which cluster, whose configuration, as which user."""

from __future__ import annotations

import dataclasses
import socket
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from seamlessfs.client.options import ClientOptions, client_settings, make_options
from seamlessfs.config.hadoop import HadoopConfiguration, load_hadoop_configuration
from seamlessfs.model.errors import ConfigurationError

EXPLANATION = """Generic options, before all others:
  -fs URL         the cluster: seamless://host:port, hdfs://host:port, or a nameservice of the configuration
  -conf DIR       Hadoop configuration directory (default: HADOOP_CONF_DIR)
  -D name=value   a property of the configuration
  -user NAME      act as this user (default: HADOOP_USER_NAME, or who is logged in)
  --json          print one JSON object, for scripts"""


@dataclass(frozen=True)
class Generic:
    """The generic options of one command, and the words behind them."""

    words: tuple[str, ...]
    fs: str | None = None
    conf: str | None = None
    user: str | None = None
    json: bool = False
    properties: Mapping[str, str] = field(default_factory=dict)

    def client_options(self) -> ClientOptions:
        """Raises ConfigurationError: no cluster is named, or a property is wrong."""
        given = HadoopConfiguration(self.properties, "-D")
        settings: dict[str, Any] = client_settings(given)
        settings.update(
            {key: value for key, value in (("hadoop_conf_dir", self.conf), ("user", self.user)) if value is not None}
        )
        if self.fs is None:
            return make_options(authority=given.default_authority() or "", **settings)
        scheme, separator, rest = self.fs.partition("://")
        if separator and scheme not in ("hdfs", "seamless"):
            raise ConfigurationError(f"FileSystem {self.fs} is not an HDFS file system")
        return make_options(authority=(rest if separator else self.fs).partition("/")[0], **settings)

    def configuration(self, environment: Mapping[str, str]) -> HadoopConfiguration:
        """The configuration directory's values, if there is one, and over them those of -D and -fs."""
        folder = self.conf or environment.get("HADOOP_CONF_DIR")
        values = dict(load_hadoop_configuration(Path(folder)).values) if folder else {}
        if self.fs is not None:
            values["fs.defaultFS"] = self.fs
        return HadoopConfiguration({**values, **self.properties}, folder or "-D")


def parse(words: list[str]) -> Generic:
    """Takes generic options off the front; `--json` may stand anywhere.

    Raises:
        ConfigurationError: an option lacks its value.
    """
    generic = Generic((), json="--json" in words)
    rest = [word for word in words if word != "--json"]
    while rest and (rest[0].startswith("-D") or rest[0] in ("-fs", "-conf", "-user")):
        joined = rest[0].startswith("-D") and rest[0] != "-D"
        if not joined and len(rest) < 2:
            raise ConfigurationError(f"option {rest[0]} requires a value")
        key, value = ("D", rest[0][2:]) if joined else (rest[0][1:], rest[1])
        rest = rest[1 if joined else 2 :]
        if key == "D":
            name, separator, setting = value.partition("=")
            if not separator:
                raise ConfigurationError(f"-D expects name=value, got {value}")
            generic = dataclasses.replace(generic, properties={**generic.properties, name: setting})
        else:
            values: dict[str, Any] = {key: value}
            generic = dataclasses.replace(generic, **values)
    return dataclasses.replace(generic, words=tuple(rest))


def host_name(address: str) -> str:
    """The name that the system has for an address, or the address."""
    try:
        return socket.getnameinfo((address, 0), 0)[0]
    except OSError:
        return address
