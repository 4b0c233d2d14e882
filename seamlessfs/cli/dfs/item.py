"""Paths as the user typed them, what they are, and the errors that name them."""

from __future__ import annotations

import posixpath
from collections.abc import Iterator
from dataclasses import dataclass, replace

from seamlessfs.cli.dfs.glob import compile_component, expand_braces, is_pattern, unescape
from seamlessfs.client.client import Client
from seamlessfs.model.errors import FileNotFound, InvalidPath, SeamlessError
from seamlessfs.model.status import FileStatus

NO_SUCH_FILE = "No such file or directory"
FILE_EXISTS = "File exists"
IS_DIRECTORY = "Is a directory"
IS_NOT_DIRECTORY = "Is not a directory"
IO_ERROR = "Input/output error"


class PathError(SeamlessError):
    """An error about one path, shown as "`PATH': what"."""

    def __init__(self, text: str, what: str, full: str | None = None) -> None:
        super().__init__(f"`{text}': {what}" + (f": `{full}'" if full is not None else ""))


class TwoPathsError(SeamlessError):
    """An error about what was to be done with two paths, shown as "`PATH' to `PATH': what"."""

    def __init__(self, text: str, target: str, what: str) -> None:
        super().__init__(f"`{text}' to `{target}': {what}")


class UsageError(SeamlessError):
    """Wrong options or arguments: shown with the command's usage, exit code 255."""


@dataclass(frozen=True)
class Item:
    """One path: as typed, absolute, and its status (None: it does not exist)."""

    client: Client
    text: str
    path: str
    status: FileStatus | None

    @property
    def exists(self) -> bool:
        return self.status is not None

    @property
    def is_directory(self) -> bool:
        return self.status is not None and self.status.is_directory

    @property
    def present(self) -> FileStatus:
        """The status.

        Raises:
            PathError: the path does not exist.
        """
        if self.status is None:
            raise PathError(self.text, NO_SUCH_FILE)
        return self.status

    def require(self) -> None:
        """Raises PathError unless the path exists."""
        self.present  # noqa: B018

    @property
    def name(self) -> str:
        return self.path.rstrip("/").rpartition("/")[2]

    @property
    def uri(self) -> str:
        """The path with its cluster, as messages about parents and targets show it."""
        return self.uri_of(self.path)

    def uri_of(self, path: str) -> str:
        return f"hdfs://{self.client.options.authority}{path}"

    @property
    def parent_path(self) -> str:
        return self.path.rstrip("/").rpartition("/")[0] or "/"

    @property
    def means_directory(self) -> bool:
        """Whether it was typed as only a directory is: with a slash at the end, or as `.` or `..`."""
        return self.text.rpartition("/")[2] in ("", ".", "..")

    def parent_exists(self) -> bool:
        """Whether there is a directory to make it in; for a path that means a directory, whether that is there."""
        path = self.path if self.means_directory else self.parent_path
        return self.client.namenode.get_file_info(path) is not None

    def child(self, status: FileStatus) -> Item:
        """An entry of this directory."""
        name = status.name.decode(errors="replace")
        return Item(self.client, _below(self.text, name), _below(self.path, name), status)

    def named_child(self, name: str) -> Item:
        """The entry of this name, looked up."""
        path = _below(self.path, name)
        return Item(self.client, _below(self.text, name), path, self.client.namenode.get_file_info(path))

    def children(self) -> Iterator[Item]:
        """Entries of this directory in byte order."""
        for status in self.client.namenode.iterate_listing(self.path):
            yield self.child(status)

    def make_directory(self) -> None:
        self.client.mkdirs(self.path)

    def refreshed(self) -> Item:
        """The same path, looked up again."""
        return Item(self.client, self.text, self.path, self.client.namenode.get_file_info(self.path))


def _below(parent: str, name: str) -> str:
    if parent == ".":
        return name
    return parent + name if parent.endswith("/") else f"{parent}/{name}"


def authority_and_path(text: str) -> tuple[str, str]:
    """`hdfs://host:port` and the path behind it; "" and the text for a path alone. `?` and `#` are part of names."""
    scheme, separator, rest = text.partition("://")
    if not separator or "/" in scheme:
        return "", text
    authority, slash, path = rest.partition("/")
    return f"{scheme}://{authority}", slash + path or "/"


def absolute(client: Client, text: str) -> str:
    """The absolute path of what was typed: a URL, an absolute path, or one below the user's home."""
    path = authority_and_path(text)[1]
    if not path.startswith("/"):
        path = f"/user/{client.options.user}/{path}"
    parts: list[str] = []
    for part in path.split("/"):
        if part == ".." and parts and parts[-1] != "..":
            parts.pop()
        elif part not in ("", "."):
            parts.append(part)
    return "/" + "/".join(parts)


def lookup(client: Client, text: str) -> Item:
    """The item of one literal path, as it was typed."""
    path = absolute(client, text)
    return Item(client, text, path, client.namenode.get_file_info(path))


def expand(client: Client, text: str) -> list[Item]:
    """The items that a path or pattern (see `glob`) names; a literal path may not exist.

    What exists is shown in its plain form, what does not as it was typed.

    Raises:
        PathError: the pattern matches nothing. IllegalArgument: it is not a pattern.
    """
    if not is_pattern(text):
        item = lookup(client, unescape(text))
        return [replace(item, text=_plain(client, item)) if item.exists else item]
    found = {item.path: item for option in expand_braces(text) for item in _expand_one(client, option, text)}
    if not found:
        raise PathError(text, NO_SUCH_FILE)
    return sorted(found.values(), key=lambda item: item.path.encode())


def _plain(client: Client, item: Item) -> str:
    """The text of a path without double slashes and the like: with its cluster, absolute, or relative, as typed."""
    authority, typed = authority_and_path(item.text)
    return authority + item.path if typed.startswith("/") else posixpath.relpath(item.path, absolute(client, ""))


def _expand_one(client: Client, text: str, whole: str) -> list[Item]:
    """Items of a pattern without braces, shown with the same beginning as it was typed with."""
    authority, path = authority_and_path(text)
    below_home = not path.startswith("/")
    items = [Item(client, f"{authority}/", "/", client.namenode.get_file_info("/"))]
    for part in absolute(client, text).split("/")[1:]:
        items = [match for item in items for match in _matches(item, part, whole)] if part else items
    return [replace(item, text=_plain(client, replace(item, text=""))) for item in items] if below_home else items


def _matches(item: Item, part: str, whole: str) -> Iterator[Item]:
    if not item.is_directory:
        return
    if is_pattern(part):
        pattern = compile_component(part, whole)
        yield from (child for child in item.children() if pattern.fullmatch(child.name))
        return
    try:
        child = item.named_child(unescape(part))
    except (FileNotFound, InvalidPath):
        return
    if child.exists:
        yield child
