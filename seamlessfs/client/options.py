"""How a client is configured: by URL, by arguments, or by a Hadoop configuration directory."""

from __future__ import annotations

import dataclasses
import difflib
import getpass
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

from seamlessfs.client.pipeline_recovery import ReplacementPolicy
from seamlessfs.config.hadoop import FILES, HadoopConfiguration, load_hadoop_configuration, parse_address
from seamlessfs.model.block import Checksum, ChecksumType
from seamlessfs.model.errors import ConfigurationError

SCHEMES = ("seamless", "hdfs")
_REPLACEMENT = "dfs.client.block.write.replace-datanode-on-failure"


@dataclass(frozen=True, slots=True)
class ClientOptions:
    """Settings of a client. None means: what the server says in getServerDefaults.

    Attributes:
        addresses: RPC addresses of the namenodes; with several, the active one is found.
        authority: name of the cluster in URLs: `host:port` or a nameservice.
        user: whose permissions count. real_user: who acts for them (needs the right of a proxy user).
        packet_bytes: data of a packet of a write; None: what the server says, at least 256 KiB.
        umask: bits taken from the permission of new files and directories.
        hedge_after_s: a replica that keeps a read waiting for so long is left for another one of its IDC; 0: never.
        source_address: local address that connections are made from; it places the client in the topology.
        use_datanode_hostname: dial datanodes by name instead of by address.
        parallel_reads: threads that fetch ranges of one client at the same time.
        stripe_bytes: largest piece that one thread fetches of a long read.
        readahead_bytes: how much a file object reads ahead.
        block_tries: pipelines that are tried for a block, each without the datanodes that failed before.
        read_timeout_s: a datanode that sends nothing for so long is taken for dead.
        timeout_per_target_s: added to it for each datanode of a pipeline.
        replacement_policy: when a datanode that a pipeline loses is replaced: ALWAYS, DEFAULT, NEVER.
        replacement_best_effort: write on with fewer datanodes when no replacement can be had.
        short_circuit: read replicas on this machine from their files, where its datanode passes them.
        domain_socket_path: UNIX socket of the datanode on this machine; `_PORT` stands for its transfer port.
        short_circuit_skip_checksum: take what is in such files for right, unverified.
        topology_file: rules that map addresses to places; given, the client counts its bytes per link.
    """

    addresses: tuple[tuple[str, int], ...]
    authority: str
    user: str
    real_user: str | None = None
    block_size_bytes: int | None = None
    replication: int | None = None
    checksum: Checksum | None = None
    packet_bytes: int | None = None
    umask: int = 0o022
    connect_timeout_s: float = 20.0
    call_timeout_s: float = 120.0
    read_timeout_s: float = 60.0
    hedge_after_s: float = 1.0
    source_address: str | None = None
    use_datanode_hostname: bool = False
    parallel_reads: int = 8
    stripe_bytes: int = 16 << 20
    readahead_bytes: int = 4 << 20
    block_tries: int = 6
    timeout_per_target_s: float = 5.0
    replacement_policy: ReplacementPolicy = ReplacementPolicy.DEFAULT
    replacement_best_effort: bool = True
    short_circuit: bool = False
    domain_socket_path: str = ""
    short_circuit_skip_checksum: bool = False
    topology_file: str | None = None

    def __post_init__(self) -> None:
        if not self.addresses:
            raise ConfigurationError("no namenode address: give host and port, or a Hadoop configuration directory")
        for name in ("parallel_reads", "stripe_bytes", "readahead_bytes", "block_tries"):
            if getattr(self, name) < 1:
                raise ConfigurationError(f"{name} is {getattr(self, name)}; the least is 1")
        for name in ("connect_timeout_s", "call_timeout_s", "read_timeout_s"):
            if getattr(self, name) <= 0:
                raise ConfigurationError(f"{name} is {getattr(self, name)}; it must be more than 0 seconds")
        if self.timeout_per_target_s < 0:
            raise ConfigurationError(f"timeout_per_target_s is {self.timeout_per_target_s}; the least is 0 seconds")
        if self.hedge_after_s < 0:
            raise ConfigurationError(f"hedge_after_s is {self.hedge_after_s}; it must be 0 (never) or more seconds")
        if self.short_circuit and not self.domain_socket_path.startswith("/"):
            raise ConfigurationError(
                f"short_circuit is on and domain_socket_path is {self.domain_socket_path!r}: give the absolute path of "
                "the datanode's UNIX socket (Hadoop: dfs.domain.socket.path)"
            )
        if not 0 <= self.umask <= 0o777:
            raise ConfigurationError(f"umask is {self.umask:o}; expected an octal number from 000 to 777")

    @classmethod
    def from_url(cls, url: str, **arguments: Any) -> ClientOptions:
        """Options of `seamless://[user@]host[:port][,host[:port]...]/...`; see `make_options` for the arguments.

        Raises:
            ConfigurationError: another scheme, or what `make_options` raises.
        """
        scheme, separator, _ = url.partition("://")
        if not separator or scheme not in SCHEMES:
            raise ConfigurationError(f"URL {url!r} does not start with {' or '.join(f'{s}://' for s in SCHEMES)}")
        return make_options(authority=urlsplit(url).netloc, **arguments)


def make_options(
    *,
    authority: str = "",
    hadoop_conf_dir: str | os.PathLike[str] | None = None,
    environment: Mapping[str, str] | None = None,
    **arguments: Any,
) -> ClientOptions:
    """Options from an authority, a Hadoop configuration and arguments; the more explicit one wins.

    Args:
        authority: `[user@]host[:port]`, several of them with commas, a configured nameservice, or "" for
            `fs.defaultFS` of the Hadoop configuration.
        hadoop_conf_dir: default: `HADOOP_CONF_DIR` of the environment, if it holds a configuration.
        environment: default: that of the process. `HADOOP_USER_NAME` names the user.
        arguments: fields of `ClientOptions` except `addresses` and `authority`.

    Raises:
        ConfigurationError: unknown argument (the nearest name is given), value out of range, no address.
    """
    environ = os.environ if environment is None else environment
    configuration = configuration_of(hadoop_conf_dir, environ)
    user, _, names = authority.rpartition("@")
    names = names or (configuration.default_authority() if configuration else None) or ""
    if not names:
        raise ConfigurationError(
            "no namenode is named: give seamless://host:port/, host and port, or a Hadoop configuration directory "
            "(hadoop_conf_dir or HADOOP_CONF_DIR) with fs.defaultFS"
        )
    values = client_settings(configuration) if configuration else {}
    values |= {name: value for name, value in arguments.items() if value is not None}
    _check_names(values)
    _read_texts(values)
    values["user"] = values.get("user") or unquote(user) or _default_user(environ)
    return ClientOptions(addresses=_addresses(names, configuration), authority=names, **values)


def configuration_of(
    directory: str | os.PathLike[str] | None, environ: Mapping[str, str]
) -> HadoopConfiguration | None:
    """The Hadoop configuration of a directory, or of `HADOOP_CONF_DIR` if that holds one."""
    if directory is not None:
        return load_hadoop_configuration(Path(directory))
    implied = environ.get("HADOOP_CONF_DIR")
    if implied and any(Path(implied, name).is_file() for name in FILES):
        return load_hadoop_configuration(Path(implied))
    return None


def _addresses(names: str, configuration: HadoopConfiguration | None) -> tuple[tuple[str, int], ...]:
    if configuration is not None and names in configuration.nameservices():
        return configuration.namenodes(names)
    return tuple(parse_address(name, f"namenode address {name!r}") for name in names.split(",") if name.strip())


def _default_user(environ: Mapping[str, str]) -> str:
    return environ.get("HADOOP_USER_NAME") or getpass.getuser()


def client_settings(configuration: HadoopConfiguration) -> dict[str, Any]:
    """Fields of `ClientOptions` that a Hadoop configuration sets, as arguments of `make_options`."""
    values = {
        "block_size_bytes": configuration.size_bytes("dfs.blocksize"),
        "replication": configuration.integer("dfs.replication"),
        "packet_bytes": configuration.size_bytes("dfs.client-write-packet-size"),
        "checksum": _checksum(configuration),
        "umask": configuration.umask(),
        "connect_timeout_s": configuration.duration_s("ipc.client.connect.timeout"),
        "call_timeout_s": configuration.duration_s("ipc.client.rpc-timeout.ms") or None,
        "read_timeout_s": configuration.duration_s("dfs.client.socket-timeout"),
        "hedge_after_s": configuration.duration_s("dfs.client.hedged.read.threshold.millis"),
        "use_datanode_hostname": configuration.flag("dfs.client.use.datanode.hostname"),
        "short_circuit": configuration.flag("dfs.client.read.shortcircuit"),
        "domain_socket_path": configuration.get("dfs.domain.socket.path"),
        "short_circuit_skip_checksum": configuration.flag("dfs.client.read.shortcircuit.skip.checksum"),
        "replacement_policy": _replacement_policy(configuration),
        "replacement_best_effort": configuration.flag(f"{_REPLACEMENT}.best-effort"),
    }
    return {name: value for name, value in values.items() if value is not None}


def _replacement_policy(configuration: HadoopConfiguration) -> str | None:
    """The policy's name; NEVER when replacing is switched off."""
    if configuration.flag(f"{_REPLACEMENT}.enable") is False:
        return ReplacementPolicy.NEVER.value
    return configuration.get(f"{_REPLACEMENT}.policy")


def _checksum(configuration: HadoopConfiguration) -> Checksum | None:
    kind = configuration.get("dfs.checksum.type")
    chunk = configuration.integer("dfs.bytes-per-checksum")
    if kind is None and chunk is None:
        return None
    if kind is not None and kind not in ChecksumType.__members__:
        raise ConfigurationError(f"{configuration.origin}: dfs.checksum.type is {kind!r}; expected CRC32C, CRC32, NULL")
    return Checksum(ChecksumType[kind or "CRC32C"], chunk or 512)


def _check_names(values: Mapping[str, Any]) -> None:
    known = {field.name for field in dataclasses.fields(ClientOptions)} - {"addresses", "authority"}
    for name in values.keys() - known:
        near = difflib.get_close_matches(name, known, n=1)
        hint = f"; did you mean {near[0]!r}?" if near else f"; known: {', '.join(sorted(known))}"
        raise ConfigurationError(f"unknown option {name!r}{hint}")


def _read_texts(values: dict[str, Any]) -> None:
    """Turns the textual forms that URLs and storage options use into values."""
    umask = values.get("umask")
    if isinstance(umask, str):
        try:
            values["umask"] = int(umask, 8)
        except ValueError:
            raise ConfigurationError(f"umask is {umask!r}; expected an octal number such as 022") from None
    checksum = values.get("checksum")
    if isinstance(checksum, str):
        if checksum.upper() not in ChecksumType.__members__:
            raise ConfigurationError(f"checksum is {checksum!r}; expected CRC32C, CRC32 or NULL")
        values["checksum"] = Checksum(ChecksumType[checksum.upper()])
    policy = values.get("replacement_policy")
    if isinstance(policy, str):
        if policy.upper() not in ReplacementPolicy.__members__:
            known = ", ".join(ReplacementPolicy.__members__)
            raise ConfigurationError(
                f"replacement_policy is {policy!r}; expected {known} (Hadoop: {_REPLACEMENT}.policy)"
            )
        values["replacement_policy"] = ReplacementPolicy[policy.upper()]
    if isinstance(values.get("topology_file"), os.PathLike):
        values["topology_file"] = os.fspath(values["topology_file"])
