"""Options, dispatch and exit codes of `seamlessfs dfs`.

Exit codes, as Hadoop's shell has them: 0 all arguments done; 1 an argument failed (the others were still tried);
255 the command was not understood.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import Any

from seamlessfs.cli.dfs import change, describe, listing, transfer
from seamlessfs.cli.dfs.call import Call, Command, Shell
from seamlessfs.cli.dfs.item import UsageError
from seamlessfs.client.options import ClientOptions, client_settings, make_options
from seamlessfs.config.hadoop import HadoopConfiguration
from seamlessfs.model.errors import SeamlessError

USAGE_EXIT = 255


def commands() -> dict[str, Command]:
    """Every command by name."""
    return dict(sorted({**listing.COMMANDS, **transfer.COMMANDS, **change.COMMANDS, **describe.COMMANDS}.items()))


def run(words: Sequence[str]) -> int:
    """`seamlessfs dfs [-fs URL] [-conf DIR] [-D key=value] -command ...`."""
    try:
        generic, rest = _generic_options(list(words[1:]))
    except UsageError as error:
        print(f"dfs: {error}", file=sys.stderr)
        return USAGE_EXIT
    table = commands()
    if not rest:
        print(_overview(table), file=sys.stderr)
        return USAGE_EXIT
    name, arguments = rest[0].removeprefix("-"), rest[1:]
    if not rest[0].startswith("-") or (name not in table and name not in ("help", "usage")):
        print(f"{rest[0]}: Unknown command", file=sys.stderr)
        print(_overview(table), file=sys.stderr)
        return USAGE_EXIT
    if name in ("help", "usage"):
        return _help(table, arguments, brief=name == "usage")
    shell = Shell(_client_options(generic), generic.get("conf"))
    try:
        return _call(shell, table[name], name, arguments)
    finally:
        shell.close()


def _call(shell: Shell, command: Command, name: str, arguments: list[str]) -> int:
    try:
        flags, operands = _parse(command, name, arguments)
        command.run(Call(shell, name, flags, operands))
        shell.out.flush()
    except UsageError as error:
        print(f"-{name}: {error}\nUsage: seamlessfs dfs [generic options] {command.usage}", file=shell.err)
        return USAGE_EXIT
    except SeamlessError as error:
        shell.fail(name, error)
    return shell.exit_code


def _parse(command: Command, name: str, arguments: list[str]) -> tuple[dict[str, str], list[str]]:
    letters = [option for option in command.options.split() if option]
    flags: dict[str, str] = {}
    index = 0
    while index < len(arguments):
        word = arguments[index]
        if word == "--":
            index += 1
            break
        if not word.startswith("-") or word == "-":
            break
        option = word[1:]
        if option in letters:
            flags[option] = ""
        elif f"{option}:" in letters:
            index += 1
            if index == len(arguments):
                raise UsageError(f"option {option} requires an argument")
            flags[option] = arguments[index]
        else:
            raise UsageError(f"Illegal option {word}")
        index += 1
    operands = arguments[index:]
    if len(operands) < command.least:
        raise UsageError(f"Not enough arguments: expected {command.least} but got {len(operands)}")
    if len(operands) > command.most:
        raise UsageError(f"Too many arguments: expected {command.most} but got {len(operands)}")
    return flags, operands


def _generic_options(words: list[str]) -> tuple[dict[str, Any], list[str]]:
    generic: dict[str, Any] = {"properties": {}}
    while words and (words[0].startswith("-D") or words[0] in ("-fs", "-conf", "-user", "-bind")):
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


def _client_options(generic: dict[str, Any]) -> ClientOptions:
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
    lines = "\n".join(f"\t[{command.usage}]" for command in table.values())
    return f"Usage: seamlessfs dfs [generic options]\n{lines}\n\t[-help [cmd ...]]\n\t[-usage [cmd ...]]"


def _help(table: dict[str, Command], names: list[str], brief: bool) -> int:
    code = 0
    for name in [name.removeprefix("-") for name in names] or list(table):
        if name not in table:
            print(f"{name}: Unknown command", file=sys.stderr)
            code = USAGE_EXIT
        elif brief:
            print(f"Usage: seamlessfs dfs [generic options] {table[name].usage}")
        else:
            print(f"{table[name].usage} :\n  {table[name].help}\n")
    return code
