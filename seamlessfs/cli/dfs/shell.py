"""Options, dispatch and exit codes of `seamlessfs dfs`.

Exit codes, as Hadoop's shell has them: 0 all arguments done; 1 an argument failed (the others were still tried);
255 the command was not understood.
"""

from __future__ import annotations

import dataclasses
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from seamlessfs.cli.dfs.item import Item, PathError, UsageError, authority_and_path, expand
from seamlessfs.client.client import Client
from seamlessfs.client.options import ClientOptions, client_settings, make_options
from seamlessfs.config.hadoop import HadoopConfiguration
from seamlessfs.model.errors import SeamlessError

USAGE_EXIT = 255


@dataclass(frozen=True)
class Command:
    """One command: its usage line, what it does, its options (getopt letters), and the number of its arguments."""

    run: Callable[[Call], None]
    usage: str
    help: str
    options: str = ""
    least: int = 1
    most: int = 1 << 30


class Shell:
    """One run of the shell: the cluster it talks to, where it writes, and what failed so far."""

    def __init__(self, options: ClientOptions, conf: str | None = None) -> None:
        self.options = options
        self.conf = conf
        self.out: Any = sys.stdout
        self.err: Any = sys.stderr
        self.exit_code = 0
        self._clients: dict[str, Client] = {}

    def client(self, text: str) -> Client:
        """The client of the cluster that a path names; the default one for a path without an authority."""
        url = authority_and_path(text)[0]
        options = self.options
        if url and not url.endswith("://"):
            other = ClientOptions.from_url(url, hadoop_conf_dir=self.conf)
            options = dataclasses.replace(options, addresses=other.addresses, authority=other.authority)
        if options.authority not in self._clients:
            self._clients[options.authority] = Client(options)
        return self._clients[options.authority]

    def expand(self, text: str) -> list[Item]:
        return expand(self.client(text), text)

    def fail(self, name: str, error: SeamlessError | OSError) -> None:
        """Shows one argument's failure and remembers it for the exit code."""
        text = str(error).splitlines()[0] if str(error) else type(error).__name__
        if isinstance(error, OSError) and not isinstance(error, SeamlessError):
            text = str(PathError(str(error.filename), error.strerror or text)) if error.filename else text
        print(f"{name}: {text}", file=self.err)
        self.exit_code = 1

    def close(self) -> None:
        for client in self._clients.values():
            client.close()


@dataclass
class Call:
    """One command with its options and arguments."""

    shell: Shell
    name: str
    flags: dict[str, str]
    arguments: list[str]

    def has(self, flag: str) -> bool:
        return flag in self.flags

    def print(self, text: str) -> None:
        print(text, file=self.shell.out)

    def each(self, texts: Sequence[str], action: Callable[[Item], None]) -> None:
        """Runs `action` on everything that the arguments name; a failure is shown and the rest goes on."""
        for text in texts:
            try:
                items = self.shell.expand(text)
            except (SeamlessError, OSError) as error:
                self.shell.fail(self.name, error)
                continue
            for item in items:
                self.attempt(lambda item=item: action(item))  # type: ignore[misc]

    def attempt(self, action: Callable[[], None]) -> None:
        """Runs `action`; its failure is shown."""
        try:
            action()
        except UsageError:
            raise
        except BrokenPipeError:
            raise
        except (SeamlessError, OSError) as error:
            self.shell.fail(self.name, error)


def commands() -> dict[str, Command]:
    """Every command by name."""
    from seamlessfs.cli.dfs import change, describe, listing, transfer

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
