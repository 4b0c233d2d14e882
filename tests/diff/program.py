"""Programs of calls, as lines that a person can read, keep in a file and replay.

Shape of a line: `s7 = alice.create(src='~/a', clientName='h1', masked=0o644, ...)`. The fields are those of the call's
request on the wire. In them `~` is the program's folder, `s7` what the step of that name answered (the id of a file, or
a block), `{s7}` in a path the file's id, and `changed(s7, length=5, stamp=-1, id=1)` a block that was tampered with.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

_LONG_RUN = re.compile(r"(.{1,2}?)\1{30,}")
OCTAL = {"masked", "unmasked", "permission"}


@dataclass(frozen=True)
class Ref:
    """What an earlier step answered."""

    name: str

    def __repr__(self) -> str:
        return self.name


@dataclass(frozen=True)
class Changed:
    """A block that an earlier step answered, with another length, or with a stamp or id that is off by some."""

    of: Ref
    length: int | None = None
    stamp: int = 0
    id: int = 0

    def __repr__(self) -> str:
        changes = [f"{name}={value}" for name, value in (("stamp", self.stamp), ("id", self.id)) if value]
        if self.length is not None:
            changes.insert(0, f"length={self.length}")
        return f"changed({', '.join([self.of.name, *changes])})"


@dataclass(frozen=True)
class Step:
    """One call of one user. `name`: how later steps refer to its answer."""

    name: str
    user: str
    call: str
    fields: Mapping[str, Any] = field(default_factory=dict)

    def __str__(self) -> str:
        arguments = ", ".join(f"{key}={_shown(key, value)}" for key, value in self.fields.items())
        return f"{self.name} = {self.user}.{self.call}({arguments})"

    def without(self, key: str) -> Step:
        """The same step, one field less."""
        return Step(self.name, self.user, self.call, {k: v for k, v in self.fields.items() if k != key})


Program = list[Step]


def text_of(program: Iterable[Step]) -> str:
    """The program as a file to replay."""
    return "".join(f"{step}\n" for step in program)


def read(text: str) -> list[Program]:
    """Reads programs as `text_of` wrote them, an empty line between each and the next; comments may be added.

    Raises:
        ValueError: a line is no step.
    """
    programs = ([_step(node) for node in ast.parse(part).body] for part in re.split(r"\n\s*\n", text))
    return [program for program in programs if program]


def _step(node: ast.stmt) -> Step:
    match node:
        case ast.Assign(
            targets=[ast.Name(id=name)],
            value=ast.Call(func=ast.Attribute(value=ast.Name(id=user), attr=call), args=[], keywords=keywords),
        ):
            return Step(name, user, call, {str(one.arg): _value(one.value) for one in keywords})
    raise ValueError(f"line {node.lineno} is no step: {ast.unparse(node)}")


def _value(node: ast.expr) -> Any:
    match node:
        case ast.Name(id=name):
            return Ref(name)
        case ast.List(elts=items):
            return [_value(item) for item in items]
        case ast.Call(func=ast.Name(id="changed"), args=[ast.Name(id=name)], keywords=keywords):
            return Changed(Ref(name), **{str(one.arg): ast.literal_eval(one.value) for one in keywords})
        case ast.BinOp(op=ast.Add(), left=left, right=right):
            return _value(left) + _value(right)
        case ast.BinOp(op=ast.Mult(), left=ast.Constant(value=str(text)), right=ast.Constant(value=int(times))):
            return text * times
    return ast.literal_eval(node)


def _shown(key: str, value: Any) -> str:
    if key in OCTAL and isinstance(value, int):
        return oct(value)
    return _short(value) if isinstance(value, str) else repr(value)


def _short(text: str) -> str:
    """The text as an expression, with long repetitions as a product."""
    parts, at = [], 0
    for run in _LONG_RUN.finditer(text):
        parts += [repr(text[at : run.start()]), f"{run[1]!r} * {len(run[0]) // len(run[1])}"]
        at = run.end()
    return " + ".join(part for part in [*parts, repr(text[at:])] if part != "''") or "''"
