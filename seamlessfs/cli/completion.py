"""`seamlessfs completion bash|zsh`: completion of commands, options and paths of the cluster.

The shell's part is a few lines that ask `seamlessfs completion suggest`; what can follow is decided here, from the same
tables that the commands are read by.
"""

from __future__ import annotations

import contextlib
import importlib
import io
import re
import shlex
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from itertools import islice
from typing import Any

from seamlessfs.cli.dfs.item import UsageError, absolute, authority_and_path
from seamlessfs.cli.dfs.shell import GENERIC, client_options, commands, generic_options
from seamlessfs.cli.main import COMMANDS, parser
from seamlessfs.client.client import Client
from seamlessfs.model.errors import SeamlessError

SHELLS = ("bash", "zsh")
PATHS_MAX = 500
"""Paths offered at once: nobody reads more."""

TIMEOUT_S = 3.0
"""A cluster that does not answer for so long has nothing to offer."""

BASH = """\
_seamlessfs() {
    local line
    COMPREPLY=()
    while IFS= read -r line; do
        COMPREPLY+=("$line")
    done < <("${1:-seamlessfs}" completion suggest "${COMP_WORDBREAKS-}" "${COMP_LINE:0:$COMP_POINT}" 2>/dev/null)
}
complete -o nospace -o default -F _seamlessfs seamlessfs
"""
ZSH = f"autoload -U +X compinit && compinit\nautoload -U +X bashcompinit && bashcompinit\n{BASH}"

FROM_HERE = ("put", "copyFromLocal", "moveFromLocal", "appendToFile")
TO_HERE = ("get", "copyToLocal", "getmerge", "moveToLocal")
"""Commands whose first, or last, path is on this machine: the shell completes those itself."""


def run(words: Sequence[str]) -> int:
    """Prints the script for a shell, or (for that script) what can follow a line."""
    if words[1:2] == ["suggest"] and len(words) == 4:
        for suggestion in suggest(words[3], words[2]):
            print(suggestion)
        return 0
    arguments = parser(
        words,
        "Prints a script that makes the Tab key complete commands, their options and the cluster's paths.",
        'eval "$(seamlessfs completion bash)"    # in ~/.bashrc',
        'eval "$(seamlessfs completion zsh)"     # in ~/.zshrc',
    )
    arguments.add_argument("shell", choices=SHELLS)
    print(BASH if arguments.parse_args(words[1:]).shell == "bash" else ZSH, end="")
    return 0


def suggest(line: str, breaks: str = "") -> list[str]:
    """What the last word of a line can become: with a space behind it if it is complete.

    Args:
        line: what was typed, up to the cursor.
        breaks: characters at which the shell begins a new word; it is given only what follows the last of them.
    """
    try:
        words = shlex.split(line)
    except ValueError:  # inside quotes
        return []
    ended = not words or (line[-1:].isspace() and not line.endswith("\\ "))
    last = "" if ended else words.pop()
    kept = max((last.rfind(letter) + 1 for letter in breaks if letter in ":="), default=0)
    return [found[len(quoted(last[:kept])) :] for found in _candidates(words[1:], last)]


def quoted(text: str) -> str:
    """A word as it is typed: with a backslash before what means something to the shell."""
    return re.sub(r"[^\w/.,:=@%+~-]", r"\\\g<0>", text)


def _candidates(words: list[str], last: str) -> Iterable[str]:
    if not words:
        return _whole(COMMANDS, last)
    if words[0] == "dfs":
        return _of_dfs(words[1:], last)
    if words[0] == "where" and not last.startswith("-"):
        return _of_where(words[1:], last)
    return _whole(_words_of_help(words[0]), last) if words[0] in COMMANDS else []


def _whole(choices: Iterable[str], last: str) -> list[str]:
    return [f"{choice} " for choice in choices if choice.startswith(last)]


def _words_of_help(name: str) -> list[str]:
    """Options and choices that a command's own help names."""
    shown = io.StringIO()
    with contextlib.redirect_stdout(shown), contextlib.suppress(SystemExit):
        importlib.import_module(COMMANDS[name][0]).run([name, "--help"])
    choices = [choice for group in re.findall(r"\{([\w,-]+)\}", shown.getvalue()) for choice in group.split(",")]
    options = re.findall(r"(?:^|[\s\[])(--?[A-Za-z][\w-]*)", shown.getvalue())
    return sorted({*choices, *options})


def _of_dfs(words: list[str], last: str) -> Iterable[str]:
    """What follows `seamlessfs dfs ...`."""
    try:
        generic, rest = generic_options(words)
    except UsageError:  # an option that lacks its value
        return []
    table = commands()
    if not rest:
        return _whole([*GENERIC, *(f"-{name}" for name in table)], last)
    name, arguments = rest[0].removeprefix("-"), [word for word in rest[1:] if not word.startswith("-")]
    if name not in table:
        return []
    if name in ("help", "usage"):
        return _whole(table, last)
    if last.startswith("-"):
        return _whole(table[name].flags(), last)
    here = (name in FROM_HERE and not arguments) or (name in TO_HERE and arguments)
    return [] if here else _paths(generic, last)


def _of_where(words: list[str], last: str) -> Iterable[str]:
    try:
        generic, _ = generic_options(words)
    except UsageError:
        return []
    return _paths(generic, last)


def _paths(generic: dict[str, Any], last: str) -> Iterator[str]:
    """Paths of the cluster that begin so; directories with a slash at the end."""
    authority, path = authority_and_path(last)
    start = path.rpartition("/")[2]
    shown = last.removesuffix(start)
    if not authority.endswith("://") and authority:
        generic = {**generic, "fs": authority}
    with contextlib.suppress(SeamlessError, OSError):
        options = replace(client_options(generic), connect_timeout_s=TIMEOUT_S, call_timeout_s=TIMEOUT_S)
        with Client(options) as client:
            entries = client.listing(absolute(client, path.removesuffix(start)))
            matching = (one for one in entries if one.name.startswith(start.encode()))
            for status in islice(matching, PATHS_MAX):
                name = quoted(shown + status.name.decode(errors="replace"))
                yield name + ("/" if status.is_directory else " ")
