r"""Patterns of paths, as Hadoop's shell reads them: `*`, `?`, `[a-c]`, `[^a]`, `{a,b}`, and `\` before any of these.

Shape: a pattern is expanded into patterns without braces, then matched one path component at a time; no `*` crosses
a `/`. A closing bracket or brace that closes nothing stands for itself.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from seamlessfs.model.errors import IllegalArgument

OPTIONS_MAX = 10_000
"""Patterns that braces may stand for: `{a,b}{a,b}...` doubles with each pair."""

_SPECIAL = re.compile(r"\\.|[*?\[{]", re.DOTALL)


def is_pattern(text: str) -> bool:
    """Whether anything in the text is matched rather than meant literally."""
    return any(not match[0].startswith("\\") for match in _SPECIAL.finditer(text))


def unescape(text: str) -> str:
    """The name that a text without special characters stands for."""
    return re.sub(r"\\(.)", r"\1", text, flags=re.DOTALL)


def expand_braces(text: str) -> list[str]:
    """The patterns without braces that a pattern stands for, each once, in the order they are written.

    Raises:
        IllegalArgument: a brace is not closed, or there are too many combinations.
    """
    return list(dict.fromkeys(_alternatives(text, text)))


def compile_component(pattern: str, whole: str) -> re.Pattern[str]:
    """A regular expression that matches the names which one component (without braces) stands for.

    Args:
        whole: the pattern as typed, for messages.

    Raises:
        IllegalArgument: a character class is not closed.
    """
    parts: list[str] = []
    index = 0
    while index < len(pattern):
        letter = pattern[index]
        if letter == "\\" and index + 1 < len(pattern):
            index += 1
            parts.append(re.escape(pattern[index]))
        elif letter == "*":
            parts.append(".*")
        elif letter == "?":
            parts.append(".")
        elif letter == "[":
            end = _class_end(pattern, index, whole)
            parts.append(_class(pattern[index + 1 : end]))
            index = end
        else:
            parts.append(re.escape(letter))
        index += 1
    try:
        return re.compile("".join(parts), re.DOTALL)
    except re.error as error:
        raise _illegal(whole, str(error)) from error


def _class_end(pattern: str, start: int, whole: str) -> int:
    """Index of the bracket that closes a class; the first character in it may be one too."""
    index = start + 1
    if pattern[index : index + 1] in ("^", "!"):
        index += 1
    if pattern[index : index + 1] == "]":
        index += 1
    while index < len(pattern):
        if pattern[index] == "]":
            return index
        index += 2 if pattern[index] == "\\" else 1
    raise _illegal(whole, f"Unclosed character class near index {whole.find('[')}")


def _class(body: str) -> str:
    negated = body[:1] in ("^", "!")
    body = body[1:] if negated else body
    letters = re.sub(r"\\?([\[\]^&~|])", r"\\\1", body)
    return f"[{'^' if negated else ''}{letters}]"


def _alternatives(text: str, whole: str) -> list[str]:
    span = _outer_braces(text, whole)
    if span is None:
        return [text]
    start, end = span
    rests = _alternatives(text[end + 1 :], whole)
    options = [
        text[:start] + inner + rest
        for option in _split(text[start + 1 : end])
        for inner in _alternatives(option, whole)
        for rest in rests
    ]
    if len(options) > OPTIONS_MAX:
        raise _illegal(whole, f"more than {OPTIONS_MAX} combinations of braces")
    return options


def _outer_braces(text: str, whole: str) -> tuple[int, int] | None:
    """Where the first pair of braces opens and closes; None without one."""
    start = -1
    depth = 0
    for index, letter in _unescaped(text):
        if letter == "{":
            start = index if depth == 0 else start
            depth += 1
        elif letter == "}" and depth:
            depth -= 1
            if depth == 0:
                return start, index
    if depth:
        raise _illegal(whole, f"Unclosed group near index {len(whole) - 1}")
    return None


def _split(body: str) -> list[str]:
    """The options between two braces."""
    options: list[str] = []
    depth = begin = 0
    for index, letter in _unescaped(body):
        depth += {"{": 1, "}": -1}.get(letter, 0)
        if letter == "," and depth == 0:
            options.append(body[begin:index])
            begin = index + 1
    return [*options, body[begin:]]


def _unescaped(text: str) -> Iterator[tuple[int, str]]:
    """Characters that are neither escaped nor a backslash that escapes."""
    index = 0
    while index < len(text):
        if text[index] == "\\":
            index += 2
            continue
        yield index, text[index]
        index += 1


def _illegal(whole: str, why: str) -> IllegalArgument:
    return IllegalArgument(f"Illegal file pattern: {why}\n{whole}")
