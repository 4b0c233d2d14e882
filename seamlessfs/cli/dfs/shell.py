"""Options, dispatch and exit codes of `seamlessfs dfs`.

Exit codes, as Hadoop's shell has them: 0 all arguments done; 1 an argument failed (the others were still tried);
255 the command was not understood.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from seamlessfs.cli.dfs import (
    attributes,
    describe,
    display,
    download,
    find,
    listing,
    names,
    permissions,
    space,
    trash,
    upload,
    versions,
    within,
)
from seamlessfs.cli.dfs.call import Call, Shell
from seamlessfs.cli.dfs.command import PROGRAM, Command, aliases, parse
from seamlessfs.cli.dfs.item import UsageError
from seamlessfs.client.options import ClientOptions, client_settings, configuration_of, make_options
from seamlessfs.config.hadoop import HadoopConfiguration
from seamlessfs.model.errors import SeamlessError

USAGE_EXIT = 255
GENERIC = {
    "-fs": ("URL", "the cluster (else fs.defaultFS of the configuration)"),
    "-conf": ("DIR", "directory with core-site.xml and hdfs-site.xml (else HADOOP_CONF_DIR)"),
    "-D": ("NAME=VALUE", "a property of Hadoop's configuration, such as dfs.blocksize=64m"),
    "-user": ("NAME", "who you are (else HADOOP_USER_NAME, else the user of this machine)"),
    "-bind": ("ADDRESS", "local address to connect from: it decides in which IDC you are"),
}
"""Options in front of the command."""

FAMILIES = (
    *(attributes, describe, display, download, find, listing, names),
    *(permissions, space, trash, upload, versions, within),
)
DEPRECATED = {"lsr": ("ls", "R", "ls -R"), "dus": ("du", "s", "du -s"), "rmr": ("rm", "r", "-rm -r")}
START = f"""\
A shell over the files of a cluster, with the commands, options and messages of `hadoop fs`.

  {PROGRAM} -fs hdfs://127.0.0.1:8020 -ls /
  {PROGRAM} -fs hdfs://127.0.0.1:8020 -put report.csv /data
  {PROGRAM} -help put            explains one command
  {PROGRAM} -usage               lists them all
"""


def commands() -> dict[str, Command]:
    """Every command by name."""
    table = {name: command for family in FAMILIES for name, command in family.COMMANDS.items()}
    table["help"] = Command(_unused, "[cmd ...]", "Explains commands, or all of them.", examples=("ls put",), least=0)
    table["usage"] = Command(_unused, "[cmd ...]", "Shows the arguments of commands.", examples=("ls put",), least=0)
    return dict(sorted(table.items())) | aliases(table, DEPRECATED)


def _unused(call: Call) -> None:
    raise AssertionError("-help and -usage are answered before there is a cluster to call")


def run(words: Sequence[str]) -> int:
    """`seamlessfs dfs [-fs URL] [-conf DIR] [-D key=value] -command ...`."""
    table = commands()
    try:
        generic, rest = generic_options(list(words[1:]))
    except UsageError as error:
        print(f"dfs: {error}", file=sys.stderr)
        return USAGE_EXIT
    if not rest:
        print(_overview(table), file=sys.stderr)
        return USAGE_EXIT
    if rest[0] in ("--help", "-h"):
        print(f"{START}\n{_overview(table)}")
        return 0
    name, arguments = rest[0].removeprefix("-"), rest[1:]
    if not rest[0].startswith("-") or name not in table:
        return _unknown(table, rest[0])
    if name in ("help", "usage"):
        return _help(table, arguments, name)
    shell = Shell(client_options(generic), generic.get("conf"), _configuration(generic))
    try:
        return _call(shell, table[name], name, arguments)
    finally:
        shell.close()


def _unknown(table: dict[str, Command], word: str) -> int:
    print(f"{word}: Unknown command", file=sys.stderr)
    if word in table:
        print(f"Did you mean -{word}?  This command begins with a dash.", file=sys.stderr)
    print(_overview(table), file=sys.stderr)
    return USAGE_EXIT


def _call(shell: Shell, command: Command, name: str, arguments: list[str]) -> int:
    implied = [f"-{DEPRECATED[name][1]}"] if name in DEPRECATED else []
    if command.instead:
        shell.warn(f"{name}: DEPRECATED: Please use '{command.instead}' instead.")
    try:
        flags, operands = parse(command, [*implied, *arguments])
        command.run(Call(shell, name, flags, operands))
        shell.out.flush()
    except UsageError as error:
        shell.out.flush()
        shell.warn(f"-{name}: {error}\nUsage: {PROGRAM} [generic options] {command.line(name)}")
        return USAGE_EXIT
    except (SeamlessError, OSError) as error:
        if isinstance(error, BrokenPipeError):
            raise
        shell.fail(name, error)
    return shell.exit_code


def generic_options(words: list[str]) -> tuple[dict[str, Any], list[str]]:
    """Options in front of the command, and the rest.

    Raises:
        UsageError: one lacks its value.
    """
    generic: dict[str, Any] = {"properties": {}}
    while words and (words[0].startswith("-D") or words[0] in GENERIC):
        joined = words[0].startswith("-D") and words[0] != "-D"
        if not joined and len(words) < 2:
            raise UsageError(f"option {words[0]} requires an argument")
        key, value = ("D", words[0][2:]) if joined else (words[0][1:], words[1])
        if key == "D":
            name, separator, setting = value.partition("=")
            if not separator:
                raise UsageError(f"-D expects key=value, got {value}")
            generic["properties"][name] = setting
        else:
            generic[key] = value
        words = words[1 if joined else 2 :]
    return generic, words


def _configuration(generic: dict[str, Any]) -> HadoopConfiguration:
    """What the configuration directory says, and -D over it."""
    conf = generic.get("conf")
    found = configuration_of(Path(conf) if conf else None, os.environ)
    return HadoopConfiguration({**(found.values if found else {}), **generic["properties"]})


def client_options(generic: dict[str, Any]) -> ClientOptions:
    """Options of the client; -D has the names of Hadoop's configuration, those that concern no client are ignored."""
    given = HadoopConfiguration(generic["properties"], "-D")
    settings = client_settings(given)
    for key, name in (("conf", "hadoop_conf_dir"), ("user", "user"), ("bind", "source_address")):
        if key in generic:
            settings[name] = generic[key]
    if "fs" in generic:
        return ClientOptions.from_url(generic["fs"], **settings)
    return make_options(authority=given.default_authority() or "", **settings)


def _overview(table: dict[str, Command]) -> str:
    lines = [f"\t[{command.line(name)}]" for name, command in table.items() if not command.instead]
    width = max(len(f"{option} {value}") for option, (value, _) in GENERIC.items())
    options = [f"{f'{option} {value}':<{width}}  {text}" for option, (value, text) in GENERIC.items()]
    return "\n".join([f"Usage: {PROGRAM} [generic options]", *lines, "", "Generic options supported are:", *options])


def _help(table: dict[str, Command], wanted: list[str], name: str) -> int:
    for word in wanted:
        command = table.get(word.removeprefix("-"))
        if command is None:
            print(f"-{name}: `{word}': Unknown command", file=sys.stderr)
            print(f"Usage: {PROGRAM} [generic options] {table[name].line(name)}", file=sys.stderr)
            return USAGE_EXIT
        line = command.line(word.removeprefix("-"))
        shown = (
            command.explain(word.removeprefix("-")) if name == "help" else f"Usage: {PROGRAM} [generic options] {line}"
        )
        print(shown)
    if not wanted:
        print(_overview(table))
        if name == "help":
            for known, command in table.items():
                print(f"\n{command.explain(known)}")
    return 0
