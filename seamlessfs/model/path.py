"""Absolute paths, as HDFS accepts them."""

from __future__ import annotations

from seamlessfs.model.errors import InvalidPath

COMPONENT_BYTES_MAX = 255
PATH_CHARS_MAX = 8000
DEPTH_MAX = 1000
RESERVED = b".reserved"
INODES = b".inodes"


def components(path: str) -> list[bytes]:
    """Splits an absolute path into its components; repeated and trailing slashes count as one.

    Raises:
        InvalidPath: relative, or a component is `.`, `..`, or holds a colon or NUL. Deviation: stock answers
            "absent" to getFileInfo of such a path; readers turn this error into that.
    """
    if not path.startswith("/"):
        raise InvalidPath(f"Invalid path name {path}")
    parts = [part for part in path.split("/") if part]
    if len(path) > PATH_CHARS_MAX or len(parts) > DEPTH_MAX:
        raise InvalidPath(
            f"Path of {len(path)} characters and {len(parts)} levels: "
            f"limits are {PATH_CHARS_MAX} characters and {DEPTH_MAX} levels"
        )
    for part in parts:
        if part in (".", "..") or ":" in part or "\0" in part:
            raise InvalidPath(f"Invalid path name {path}")
    try:
        return [part.encode() for part in parts]
    except UnicodeEncodeError as error:
        raise InvalidPath(f"Path is not valid Unicode: {path!r}") from error


def join(parts: list[bytes] | tuple[bytes, ...]) -> str:
    """The path of these components; `/` for none."""
    return "/" + b"/".join(parts).decode(errors="replace")
