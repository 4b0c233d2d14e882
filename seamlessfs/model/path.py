"""Absolute paths, as HDFS accepts them."""

from __future__ import annotations

from seamlessfs.model.errors import InvalidPath

COMPONENT_BYTES_MAX = 255
PATH_CHARS_MAX = 8000
DEPTH_MAX = 1000
RESERVED = b".reserved"
INODES = b".inodes"
_RESERVED, _INODES = RESERVED.decode(), INODES.decode()


def split(path: str) -> list[bytes]:
    """The components of an absolute path, whatever they are; repeated and trailing slashes count as one.

    Raises:
        InvalidPath: it is relative, or no Unicode.
    """
    if not path.startswith("/"):
        raise InvalidPath(f"Invalid path name {path}")
    try:
        return [part.encode() for part in path.split("/") if part]
    except UnicodeEncodeError as error:
        raise InvalidPath(f"Path is not valid Unicode: {path!r}") from error


def creatable(path: str) -> bool:
    """Whether something may be made under this path; what is there already may be looked up under any.

    Wire: as HDFS, no `//` before a name, and `..` only behind an inode's id.
    """
    if not path.startswith("/") or "\0" in path or "//" in path.rstrip("/"):
        return False
    parts = path.split("/")
    by_id = len(parts) > 4 and parts[1:3] == [_RESERVED, _INODES]
    return all(part != "." and (part != ".." or by_id) and ":" not in part for part in parts)


def too_long(path: str) -> bool:
    """Whether a path has more characters or levels than HDFS lets one make."""
    return len(path) > PATH_CHARS_MAX or sum(1 for part in path.split("/") if part) > DEPTH_MAX


def join(parts: list[bytes] | tuple[bytes, ...]) -> str:
    """The path of these components; `/` for none."""
    return "/" + b"/".join(parts).decode(errors="replace")
