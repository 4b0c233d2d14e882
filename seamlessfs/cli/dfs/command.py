"""What a command of the shell is: its usage, its options, what it says about itself, and how its words are read."""

from __future__ import annotations

import re
import textwrap
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from seamlessfs.cli.dfs.item import UsageError

if TYPE_CHECKING:
    from seamlessfs.cli.dfs.call import Call

PROGRAM = "seamlessfs dfs"
WIDTH = 100
"""Columns that help is wrapped at."""


@dataclass(frozen=True)
class Command:
    """One command of the shell.

    Attributes:
        run: what it does.
        usage: its arguments, as Hadoop's shell shows them.
        help: what it is for; a blank line begins a paragraph.
        options: option without its dash -> what it does. `t <count>` takes the next word as its value unless that
            begins with a dash; `n=name` always takes the next word, wherever among the arguments it stands; `p[xy]`
            is every option that begins with p.
        examples: arguments that show how it is used.
        least, most: number of arguments.
        stray: words that begin with a dash and are no option are arguments, such as the mode `-x`.
        instead: what to type in place of a command that is deprecated.
    """

    run: Callable[[Call], None]
    usage: str
    help: str
    options: Mapping[str, str] = field(default_factory=dict)
    examples: tuple[str, ...] = ()
    least: int = 1
    most: int = 1 << 30
    stray: bool = False
    instead: str = ""

    def flags(self) -> list[str]:
        """Its options as they are typed."""
        return [f"-{_stem(option)}" for option in self.options]

    def line(self, name: str) -> str:
        """`-name arguments`; a deprecated command has none."""
        return f"-{name} {self.usage}" if self.usage else f"-{name}"

    def explain(self, name: str) -> str:
        """What -help shows."""
        lines = [f"{self.line(name)} :"]
        for paragraph in self.help.split("\n\n"):
            lines += [*textwrap.wrap(" ".join(paragraph.split()), WIDTH - 2), ""]
        if self.options:
            shown = {f"-{option.replace('=', ' ')}": text for option, text in self.options.items()}
            width = max(map(len, shown))
            for option, text in shown.items():
                first, *rest = textwrap.wrap(text, WIDTH - width - 4)
                lines += [f"{option:<{width}}  {first}", *(" " * (width + 2) + more for more in rest)]
            lines.append("")
        if self.examples:
            lines += ["Examples:", *(f"  {PROGRAM} -{name} {example}" for example in self.examples), ""]
        return "\n".join([lines[0], *(f"  {line}".rstrip() for line in lines[1:-1])])


def parse(command: Command, words: Sequence[str]) -> tuple[dict[str, str], list[str]]:
    """Options with their values ("" where there is none), and arguments.

    Raises:
        UsageError: an option is not known or lacks its value, or the number of arguments is wrong.
    """
    words = list(words)
    flags = _named(command, words)
    known = {_stem(option): " " in option for option in command.options if "=" not in option}
    beginnings = tuple(_stem(option) for option in command.options if "[" in option)
    at = 0
    while at < len(words) and words[at].startswith("-") and words[at] != "-":
        option = words[at][1:]
        if option == "-":
            del words[at]
            break
        if option in known or (beginnings and option.startswith(beginnings)):
            del words[at]
            takes_value = known.get(option) and len(words) > max(at, command.least) and not words[at].startswith("-")
            flags[option] = words.pop(at) if takes_value else ""
        elif command.stray:
            at += 1
        else:
            raise UsageError(f"Illegal option {words[at]}")
    if len(words) < command.least:
        raise UsageError(f"Not enough arguments: expected {command.least} but got {len(words)}")
    if len(words) > command.most:
        raise UsageError(f"Too many arguments: expected {command.most} but got {len(words)}")
    return flags, words


def _stem(option: str) -> str:
    return re.split("[ =[]", option)[0]


def _named(command: Command, words: list[str]) -> dict[str, str]:
    """Takes the options that always have a value out of the words, the first of each."""
    flags: dict[str, str] = {}
    for option in (option.partition("=")[0] for option in command.options if "=" in option):
        before = words.index("--") if "--" in words else len(words)
        if f"-{option}" in words[:before]:
            at = words.index(f"-{option}")
            if at + 1 == len(words):
                raise UsageError(f"option -{option} requires 1 argument.")
            flags[option] = words[at + 1]
            del words[at : at + 2]
    return flags


def aliases(commands: Mapping[str, Command], names: Mapping[str, tuple[str, str, str]]) -> dict[str, Command]:
    """Deprecated names: old name -> (command, option that it implies, what to type instead)."""
    made = {}
    for old, (name, _, instead) in names.items():
        command = commands[name]
        made[old] = Command(
            command.run,
            "",
            f"(Deprecated.) The same as {instead}.",
            command.options,
            least=command.least,
            most=command.most,
            instead=instead,
        )
    return made
