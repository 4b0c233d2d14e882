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
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import partial
from itertools import islice
from types import MappingProxyType
from typing import Any

from seamlessfs.cli.admin import dfsadmin, fsck, getconf, storagepolicies
from seamlessfs.cli.dfs.item import UsageError, absolute, authority_and_path
from seamlessfs.cli.dfs.shell import GENERIC, client_options, commands, generic_options
from seamlessfs.cli.generic import Generic, parse
from seamlessfs.cli.main import COMMANDS, parser
from seamlessfs.client.admin import NamenodeAdmin
from seamlessfs.client.client import Client
from seamlessfs.client.options import ClientOptions
from seamlessfs.model.errors import ConfigurationError, SeamlessError

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

TOOL_OPTIONS = ("-fs", "-conf", "-D", "-user")
TOOLS: Mapping[str, Callable[[Sequence[str]], Sequence[str]]] = MappingProxyType(
    {
        "dfsadmin": dfsadmin.offered,
        "fsck": fsck.offered,
        "storagepolicies": storagepolicies.offered,
        "getconf": getconf.offered,
        "groups": lambda words: ("-help",),
    }
)
"""The administrator's tools: what can follow the words behind their generic options."""

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
    if words[0] in TOOLS:
        return _of_tool(words[0], words[1:], last)
    if words[0] in ("where", "explain") and not last.startswith("-"):
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
    return [] if here else _paths(partial(_dfs_options, generic), last)


def _of_where(words: list[str], last: str) -> Iterable[str]:
    try:
        generic, _ = generic_options(words)
    except UsageError:
        return []
    return _paths(partial(_dfs_options, generic), last)


def _of_tool(tool: str, words: list[str], last: str) -> Iterable[str]:
    """What follows one of the administrator's tools."""
    try:
        generic = parse(words)
    except ConfigurationError:  # an option that lacks its value
        return []
    if generic.words[-1:] == ("-path",):
        return _paths(partial(_tool_options, generic), last)
    if generic.words[-1:] == ("-policy",):
        return _whole(_policies(generic), last)
    offered = TOOLS[tool](generic.words)
    if tool == "fsck" and not last.startswith("-"):
        return _paths(partial(_tool_options, generic), last)
    before = () if generic.words else TOOL_OPTIONS
    return _whole([*offered, *before, "--json"], last)


def _policies(generic: Generic) -> list[str]:
    with contextlib.suppress(SeamlessError, OSError), Client(_hasty(generic.client_options())) as client:
        return [policy.name for policy in NamenodeAdmin(client).fetch_policies()]
    return []


def _dfs_options(generic: dict[str, Any], authority: str) -> ClientOptions:
    return client_options({**generic, "fs": authority} if authority else generic)


def _tool_options(generic: Generic, authority: str) -> ClientOptions:
    return (replace(generic, fs=authority) if authority else generic).client_options()


def _hasty(options: ClientOptions) -> ClientOptions:
    return replace(options, connect_timeout_s=TIMEOUT_S, call_timeout_s=TIMEOUT_S)


def _paths(connect: Callable[[str], ClientOptions], last: str) -> Iterator[str]:
    """Paths of the cluster that begin so; directories with a slash at the end.

    Args:
        connect: how to reach the cluster that a word names by its URL, or the one of the options for "".
    """
    authority, path = authority_and_path(last)
    start = path.rpartition("/")[2]
    shown = last.removesuffix(start)
    named = "" if authority.endswith("://") else authority
    with contextlib.suppress(SeamlessError, OSError), Client(_hasty(connect(named))) as client:
        entries = client.listing(absolute(client, path.removesuffix(start)))
        matching = (one for one in entries if one.name.startswith(start.encode()))
        for status in islice(matching, PATHS_MAX):
            name = quoted(shown + status.name.decode(errors="replace"))
            yield name + ("/" if status.is_directory else " ")
