"""`seamlessfs getconf`: what a Hadoop configuration says, as the tools of this project read it."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Sequence

from seamlessfs.cli.admin.call import FAILED, AdminCall, run_tool
from seamlessfs.cli.generic import EXPLANATION, host_name
from seamlessfs.config.hadoop import HadoopConfiguration, parse_address

DEFAULTS = {
    "dfs.replication": "3",
    "dfs.blocksize": "134217728",
    "dfs.client-write-packet-size": "65536",
    "dfs.bytes-per-checksum": "512",
    "dfs.checksum.type": "CRC32C",
    "dfs.namenode.http-address": "0.0.0.0:9870",
    "dfs.namenode.secondary.http-address": "0.0.0.0:9868",
    "fs.defaultFS": "file:///",
    "fs.permissions.umask-mode": "022",
    "fs.trash.interval": "0",
    "io.file.buffer.size": "4096",
}
"""HDFS's own values where a configuration says nothing."""


def run(words: Sequence[str]) -> int:
    return run_tool(words, _run)


def _namenodes(conf: HadoopConfiguration) -> list[tuple[str, int]]:
    services = conf.nameservices()
    if services:
        return [address for service in services for address in conf.namenodes(service)]
    authority = conf.default_authority()
    return [parse_address(authority, "fs.defaultFS")] if authority else []


def _hosts(conf: HadoopConfiguration) -> str:
    return " ".join(host_name(host) for host, _ in _namenodes(conf))


def _addresses(conf: HadoopConfiguration) -> str:
    return "\n".join(f"{host_name(host)}:{port}" for host, port in _namenodes(conf))


def _include(conf: HadoopConfiguration) -> str | None:
    return conf.get("dfs.hosts")


def _exclude(conf: HadoopConfiguration) -> str | None:
    return conf.get("dfs.hosts.exclude")


COMMANDS: dict[str, tuple[Callable[[HadoopConfiguration], str | None], str, str]] = {
    "-namenodes": (_hosts, "", "hosts of the namenodes"),
    "-nnRpcAddresses": (_addresses, "", "RPC addresses of the namenodes, one a line"),
    "-includeFile": (_include, "dfs.hosts", "the file that names datanodes that may join"),
    "-excludeFile": (_exclude, "dfs.hosts.exclude", "the file that names datanodes that are to leave"),
}
"""What prints it, the property that must be set for it, what it is."""


def _run(call: AdminCall) -> int:
    name, *arguments = call.words or ("",)
    if name in ("-help", "--help", "-h"):
        print(_usage())
        return 0
    if name == "-confKey" and not arguments:
        print("usage: -confKey [key]", file=sys.stderr)
        return FAILED
    conf = call.generic.configuration(os.environ)
    if name == "-confKey":
        key = arguments[0]
        value = conf.get(key) or DEFAULTS.get(key)
    elif name in COMMANDS:
        value, key = COMMANDS[name][0](conf), COMMANDS[name][1]
    else:
        print(_usage(), file=sys.stderr)
        return FAILED
    if value is None:
        print(f"Configuration {key} is missing.", file=sys.stderr)
        return FAILED
    if call.json:
        call.print_json(value.split() if name in ("-namenodes", "-nnRpcAddresses") else value)
    else:
        print(value)
    return 0


def offered(words: Sequence[str]) -> Sequence[str]:
    """Words that can follow these, for completion: commands, then names of properties."""
    if words:
        return tuple(DEFAULTS) if words[-1] == "-confKey" else ()
    return (*COMMANDS, "-confKey", "-help")


def _usage() -> str:
    rows = "\n".join(f"\t[{name}]\t{what}" for name, (_, _, what) in COMMANDS.items())
    return (
        f"Usage: seamlessfs getconf [generic options] COMMAND\n{rows}\n\t[-confKey <key>]\tone value\n\n{EXPLANATION}"
    )
