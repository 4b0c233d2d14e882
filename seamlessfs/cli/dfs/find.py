"""-find: everything below paths that an expression is true of."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field

from seamlessfs.cli.dfs.call import Call
from seamlessfs.cli.dfs.command import Command
from seamlessfs.cli.dfs.glob import compile_component, expand_braces
from seamlessfs.cli.dfs.item import Item, UsageError
from seamlessfs.model.errors import RemoteIOError

DEPTH_MAX = 100
"""Parentheses inside parentheses."""

Test = Callable[[Item], bool]


@dataclass
class Expression:
    """What all of its parts say: an item is passed from one to the next until one is false of it."""

    show: Callable[[str], None]
    tests: list[Test] = field(default_factory=list)
    acts: bool = False

    def __call__(self, item: Item) -> bool:
        return all(test(item) for test in self.tests)


def find(call: Call) -> None:
    words = call.arguments
    first = next((index for index, word in enumerate(words) if word.startswith("-")), len(words))
    paths, rest = words[:first], deque(words[first:])

    def show(text: str) -> None:
        print(text, end="", file=call.shell.out)

    expression = parse(rest, show)
    if not expression.acts:
        expression.tests.append(_shown(show, "\n"))
    call.each_tree(paths or ["."], expression)


def parse(words: deque[str], show: Callable[[str], None], depth: int = 0) -> Expression:
    """Takes words up to the end or a closing parenthesis.

    Raises:
        RemoteIOError: a word is none of an expression. UsageError: a word's argument is missing.
    """
    if depth > DEPTH_MAX:
        raise UsageError(f"more than {DEPTH_MAX} parentheses inside each other")
    expression = Expression(show)
    while words:
        word = words.popleft()
        if word in ("-a", "-and"):
            continue
        if word == ")":
            break
        if word == "(":
            inner = parse(words, show, depth + 1)
            expression.tests.append(inner)
            expression.acts |= inner.acts
        elif word in ("-print", "-print0"):
            expression.tests.append(_shown(show, "\0" if word == "-print0" else "\n"))
            expression.acts = True
        elif word in ("-name", "-iname"):
            if not words:
                raise UsageError(f"{word} needs a pattern")
            expression.tests.append(_named(words.popleft(), ignore_case=word == "-iname"))
        else:
            raise RemoteIOError(f"Unexpected argument: {word}")
    return expression


def _shown(show: Callable[[str], None], end: str) -> Test:
    def test(item: Item) -> bool:
        show(item.text + end)
        return True

    return test


def _named(pattern: str, ignore_case: bool) -> Test:
    fold = str.lower if ignore_case else str
    options = [compile_component(option, pattern) for option in expand_braces(fold(pattern))]
    return lambda item: any(option.fullmatch(fold(item.name)) for option in options)


COMMANDS = {
    "find": Command(
        find,
        "<path> ... <expression> ...",
        "Shows everything at and below the paths that the expression is true of. Without a path it looks in your home "
        "directory; without an expression it shows everything.\n\n"
        "An expression is made of: -name PATTERN and -iname PATTERN (the last part of the path matches, with or "
        "without regard to case), -print and -print0 (shows the path with a line end or a NUL behind it, and is "
        "true), EXPRESSION -a EXPRESSION (both are true; -and, or nothing at all, is the same), and parentheses.",
        {"L": "Nothing: there are no symbolic links.", "H": "The same."},
        ("/data -name '*.csv'", "/logs -iname '*error*' -print0 | xargs -0 -n 1 echo"),
        stray=True,
    ),
}
