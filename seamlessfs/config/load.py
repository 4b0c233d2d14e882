"""Settings from a TOML file, the environment and flags, each value with its origin."""

from __future__ import annotations

import difflib
import json
import os
import tomllib
import types
import typing
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Generic, TypeVar

from pydantic import BaseModel, ValidationError

from seamlessfs.model.errors import ConfigurationError

DEFAULT = "default"
INPUT_CHARS_SHOWN = 80

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
    values, origins = gather(kind, file=file, section=section, environ=environ, flags=flags)
    try:
        return Loaded(kind.model_validate(values), origins)
    except ValidationError as error:
        raise ConfigurationError(_explain(error, section, origins)) from error


def gather(
    kind: type[BaseModel],
    *,
    file: Path | None,
    section: str,
    environ: Mapping[str, str] | None = None,
    flags: Mapping[str, Any] | None = None,
) -> tuple[dict[str, Any], dict[str, str]]:
    """The values that were given, not checked yet, and the origin of every setting.

    Raises:
        ConfigurationError: the file cannot be read, or a key is unknown.
    """
    values: dict[str, Any] = {}
    origins = dict.fromkeys(kind.model_fields, DEFAULT)
    environ = os.environ if environ is None else environ
    for key, value in _from_file(file, section).items():
        _check_known(key, str(file), kind)
        values[key], origins[key] = value, str(file)
    for name, key, value in _from_environment(kind, section, environ):
        _check_known(key, f"environment variable {name}", kind)
        values[key], origins[key] = value, name
    for key, value in values.items():
        if value == "" and _is_path(kind.model_fields[key].annotation):
            raise ConfigurationError(f"[{section}] {key} ({origins[key]}): it is empty; name a file or folder")
    for key, value in (flags or {}).items():
        if value is not None:
            _check_known(key, "flag", kind)
            values[key], origins[key] = value, "flag"
    return values, origins


def read_toml(file: Path) -> dict[str, Any]:
    """The tables of a configuration file.

    Raises:
        ConfigurationError: it cannot be read or is not valid TOML; the message names it, and the line.
    """
    try:
        return tomllib.loads(file.read_text(encoding="utf-8"))
    except OSError as error:
        raise ConfigurationError(f"cannot read the configuration {file}: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise ConfigurationError(f"{file} is not valid TOML: it is not UTF-8 (byte {error.start})") from error
    except tomllib.TOMLDecodeError as error:
        raise ConfigurationError(f"{file} is not valid TOML: {error}") from error


def _from_file(file: Path | None, section: str) -> dict[str, Any]:
    table = read_toml(file).get(section, {}) if file is not None else {}
    if not isinstance(table, dict):
        raise ConfigurationError(f"{file}: [{section}] must be a table")
    return table


def _from_environment(
    kind: type[BaseModel], section: str, environ: Mapping[str, str]
) -> Iterator[tuple[str, str, Any]]:
    """Name of the variable, name of the setting and value."""
    prefix = f"SEAMLESSFS_{section.upper()}_"
    for name, text in sorted(environ.items()):
        if not name.startswith(prefix):
            continue
        key = name[len(prefix) :].lower()
        field = kind.model_fields.get(key)
        structured = field is not None and _is_structured(field.annotation)
        try:
            yield name, key, json.loads(text) if structured else text
        except json.JSONDecodeError as error:
            raise ConfigurationError(f"{name} must hold JSON: {error}") from error


def _is_path(annotation: Any) -> bool:
    return annotation is Path or Path in typing.get_args(annotation)


def _is_structured(annotation: Any) -> bool:
    origin = typing.get_origin(annotation)
    if origin in (typing.Union, types.UnionType):
        return any(_is_structured(part) for part in typing.get_args(annotation))
    return origin in (list, tuple, dict) or annotation in (list, tuple, dict)


def _check_known(key: str, origin: str, kind: type[BaseModel]) -> None:
    if key not in kind.model_fields:
        raise ConfigurationError(f"unknown setting {key!r} ({origin}){nearest(key, kind.model_fields)}")


def nearest(name: str, known: Iterable[str]) -> str:
    """`; did you mean 'x'?`, or nothing when no known name is near."""
    near = difflib.get_close_matches(name, list(known), n=1)
    return f"; did you mean {near[0]!r}?" if near else ""


def _explain(error: ValidationError, section: str, origins: Mapping[str, str]) -> str:
    lines = []
    for problem in error.errors():
        if problem["type"] == "missing" and len(problem["loc"]) == 1:
            lines.append(f"[{section}] {problem['loc'][0]} must be set")
            continue
        if not problem["loc"]:
            lines.append(f"[{section}] {_wording(problem)}")
            continue
        key = str(problem["loc"][0])
        place = ".".join(str(part) for part in problem["loc"])
        given = repr(problem["input"])[:INPUT_CHARS_SHOWN]
        lines.append(f"[{section}] {place} ({origins.get(key, DEFAULT)}): {given} is not allowed: {_wording(problem)}")
    return "\n".join(lines)


def _wording(problem: Any) -> str:
    """What is wrong, without pydantic's way of saying so."""
    limits = problem.get("ctx", {})
    wordings = {
        "int_parsing": "a whole number is expected, without a unit",
        "int_type": "a whole number is expected",
        "int_from_float": "a whole number is expected",
        "bool_parsing": "true or false is expected",
        "string_type": "text is expected",
        "path_type": "a path is expected",
        "list_type": "a list is expected",
        "tuple_type": "a list is expected",
        "dict_type": "a table is expected",
        "greater_than_equal": f"it must be at least {limits.get('ge')}",
        "less_than_equal": f"it must be at most {limits.get('le')}",
        "too_short": f"at least {limits.get('min_length')} must be given",
        "value_error": problem["msg"].removeprefix("Value error, "),
    }
    return wordings.get(problem["type"]) or str(problem["msg"])


def describe(
    kind: type[BaseModel], section: str, values: Mapping[str, Any], origins: Mapping[str, str]
) -> list[tuple[str, str | None, str, str]]:
    """Rows of (name, value, origin, documentation) for `seamlessfs config show`.

    The value is None for a setting that is required and not given.

    Args:
        values, origins: as `gather` found them.

    Raises:
        ConfigurationError: a value that was given is out of range or of the wrong type.
    """
    shown = {name: field.get_default() for name, field in kind.model_fields.items() if not field.is_required()}
    shown.update(values)
    try:
        shown = kind.model_validate(values).model_dump(mode="json")
    except ValidationError as error:
        if any(problem["type"] != "missing" for problem in error.errors()):
            raise ConfigurationError(_explain(error, section, origins)) from error
    return [
        (
            name,
            json.dumps(shown[name], default=str) if name in shown else None,
            origins[name],
            field.description or "",
        )
        for name, field in kind.model_fields.items()
    ]
