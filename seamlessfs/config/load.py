"""Settings from a TOML file, the environment and flags, each value with its origin."""

from __future__ import annotations

import difflib
import json
import os
import tomllib
import types
import typing
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Generic, TypeVar

from pydantic import BaseModel, ValidationError

from seamlessfs.model.errors import ConfigurationError

Settings = TypeVar("Settings", bound=BaseModel)


@dataclass(frozen=True)
class Loaded(Generic[Settings]):
    """Checked settings, and where each value came from: "default", the file, the variable or "flag"."""

    settings: Settings
    origins: dict[str, str]


def load(
    kind: type[Settings],
    *,
    file: Path | None,
    section: str,
    environ: Mapping[str, str] | None = None,
    flags: Mapping[str, Any] | None = None,
) -> Loaded[Settings]:
    """Reads the settings of one daemon: defaults < file < environment < flags.

    Args:
        file: TOML file; its table `section` holds the settings.
        environ: variables named SEAMLESSFS_<SECTION>_<FIELD>.
        flags: values from the command line; None stands for "not given".

    Raises:
        ConfigurationError: the file cannot be read, or a key is unknown, missing or out of range.
    """
    values: dict[str, Any] = {}
    origins = dict.fromkeys(kind.model_fields, "default")
    for origin, source in (
        (str(file), _from_file(file, section)),
        ("environment", _from_environment(kind, section, environ if environ is not None else os.environ)),
        ("flag", {key: value for key, value in (flags or {}).items() if value is not None}),
    ):
        for key, value in source.items():
            if key not in kind.model_fields:
                raise ConfigurationError(_unknown(key, origin, kind))
            values[key] = value
            origins[key] = origin
    try:
        return Loaded(kind.model_validate(values), origins)
    except ValidationError as error:
        raise ConfigurationError(_explain(error, section, origins)) from error


def _from_file(file: Path | None, section: str) -> dict[str, Any]:
    if file is None:
        return {}
    try:
        content = tomllib.loads(file.read_text())
    except OSError as error:
        raise ConfigurationError(f"cannot read the configuration {file}: {error.strerror}") from error
    except tomllib.TOMLDecodeError as error:
        raise ConfigurationError(f"{file} is not valid TOML: {error}") from error
    table = content.get(section, {})
    if not isinstance(table, dict):
        raise ConfigurationError(f"{file}: [{section}] must be a table")
    return table


def _from_environment(kind: type[BaseModel], section: str, environ: Mapping[str, str]) -> dict[str, Any]:
    prefix = f"SEAMLESSFS_{section.upper()}_"
    found: dict[str, Any] = {}
    for name, text in environ.items():
        if not name.startswith(prefix):
            continue
        key = name[len(prefix) :].lower()
        field = kind.model_fields.get(key)
        structured = field is not None and _is_structured(field.annotation)
        try:
            found[key] = json.loads(text) if structured else text
        except json.JSONDecodeError as error:
            raise ConfigurationError(f"{name} must hold JSON: {error}") from error
    return found


def _is_structured(annotation: Any) -> bool:
    origin = typing.get_origin(annotation)
    if origin in (typing.Union, types.UnionType):
        return any(_is_structured(part) for part in typing.get_args(annotation))
    return origin in (list, tuple, dict) or annotation in (list, tuple, dict)


def _unknown(key: str, origin: str, kind: type[BaseModel]) -> str:
    near = difflib.get_close_matches(key, kind.model_fields, n=1)
    hint = f"; did you mean {near[0]!r}?" if near else ""
    return f"unknown setting {key!r} ({origin}){hint}"


def _explain(error: ValidationError, section: str, origins: Mapping[str, str]) -> str:
    lines = []
    for problem in error.errors():
        key = str(problem["loc"][0]) if problem["loc"] else section
        place = ".".join(str(part) for part in problem["loc"])
        lines.append(f"[{section}] {place} ({origins.get(key, 'default')}): {problem['msg']}")
    return "\n".join(lines)


def describe(loaded: Loaded[Any]) -> list[tuple[str, str, str, str]]:
    """Rows of (name, value, origin, documentation) for `seamlessfs config show`."""
    rows = []
    for name, field in type(loaded.settings).model_fields.items():
        value = loaded.settings.model_dump(mode="json")[name]
        rows.append((name, json.dumps(value), loaded.origins[name], field.description or ""))
    return rows
