"""The reference of all settings, as Markdown, from the settings themselves."""

from __future__ import annotations

import types
import typing
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import annotated_types
from pydantic import BaseModel
from pydantic.fields import FieldInfo

INTRODUCTION = """\
# Configuration

Made by `seamlessfs config reference`; not edited by hand.

A daemon takes its settings from its table of a TOML file (`--config FILE`). The environment counts more than the file:
`{variable}` is `{example}` of `[{section}]`; lists and tables are JSON there.
An unknown setting is an error. `seamlessfs config show --config FILE` prints each value with its origin, and
`seamlessfs config check --config FILE` looks for mistakes. Clients are configured by URL, by arguments or by a Hadoop
configuration directory: see `seamlessfs/client/options.py`.
"""
LONG_NUMBER = 100_000
"""From here on digits are grouped; TOML reads them so, too."""

_WORDS = {int: "integer", float: "number", bool: "true or false", str: "text", Path: "path"}


def render(sections: Mapping[str, type[BaseModel]]) -> str:
    """The document with a chapter for each table of the configuration file."""
    section, kind = next(iter(sections.items()))
    example = next(iter(kind.model_fields))
    variable = f"SEAMLESSFS_{section}_{example}".upper()
    parts = [INTRODUCTION.format(example=example, section=section, variable=variable)]
    parts += ["\n".join(_chapter(name, kind)) for name, kind in sections.items()]
    return "\n".join(parts)


def _chapter(section: str, kind: type[BaseModel]) -> Iterator[str]:
    yield f"## [{section}]\n"
    yield "| setting | kind | default | meaning |\n|---|---|---|---|"
    for name, field in kind.model_fields.items():
        default = "must be set" if field.is_required() else _value(field.get_default())
        yield f"| `{name}` | {_words(field.annotation)}{_range(field)} | {default} | {field.description} |"
    yield ""


def _words(annotation: Any) -> str:
    """A type in words."""
    origin, arguments = typing.get_origin(annotation), typing.get_args(annotation)
    if origin in (typing.Union, types.UnionType):
        return " or ".join(_words(one) for one in arguments if one is not type(None))
    if origin is dict:
        return f"table of {_words(arguments[1])}"
    if origin in (list, tuple):
        return f"list of {_words(arguments[0])}"
    if origin is typing.Annotated:
        return _words(arguments[0])
    if origin is typing.Literal:
        return " or ".join(f"`{one}`" for one in arguments)
    return _WORDS.get(annotation) or str(annotation.__name__)


def _range(field: FieldInfo) -> str:
    """The bounds of a number: `, 1 to 9`, `, from 1`, `, above 0`."""
    bounds = {type(one): one for one in field.metadata}
    least, most, above = (bounds.get(kind) for kind in (annotated_types.Ge, annotated_types.Le, annotated_types.Gt))
    if isinstance(above, annotated_types.Gt):
        return f", above {_value(above.gt)}"
    if not isinstance(least, annotated_types.Ge):
        return ""
    if isinstance(most, annotated_types.Le):
        return f", {_value(least.ge)} to {_value(most.le)}"
    return f", from {_value(least.ge)}"


def _value(default: Any) -> str:
    if default is None:
        return "none"
    if default in ("", {}):
        return "empty"
    if isinstance(default, bool):
        return str(default).lower()
    if isinstance(default, int) and default >= LONG_NUMBER:
        return f"{default:_}"
    return str(default)
