"""Paths as the user typed them, what they are, and the errors that name them."""

from __future__ import annotations

import fnmatch
import re
from collections.abc import Iterator
from dataclasses import dataclass
from urllib.parse import urlsplit

from seamlessfs.client.client import Client
from seamlessfs.model.errors import FileNotFound, InvalidPath, SeamlessError
from seamlessfs.model.status import FileStatus

NO_SUCH_FILE = "No such file or directory"
FILE_EXISTS = "File exists"
IS_DIRECTORY = "Is a directory"
IS_NOT_DIRECTORY = "Is not a directory"
IO_ERROR = "Input/output error"

GLOB = re.compile(r"[*?\[{]")


class PathError(SeamlessError):
    """An error about one path, shown as "`PATH': what"."""

    def __init__(self, text: str, what: str, target: str | None = None) -> None:
        super().__init__(f"`{text}': {what}" + (f": `{target}'" if target is not None else ""))


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

    def refreshed(self) -> Item:
        """The same path, looked up again."""
        return Item(self.client, self.text, self.path, self.client.namenode.get_file_info(self.path))


def _below(parent: str, name: str) -> str:
    return parent + name if parent.endswith("/") else f"{parent}/{name}"


def absolute(client: Client, text: str) -> str:
    """The absolute path of what was typed: a URL, an absolute path, or one below the user's home."""
    path = text
    if "://" in text:
        path = urlsplit(text).path or "/"
    if not path.startswith("/"):
        path = f"/user/{client.options.user}" + (f"/{path}" if path and path != "." else "")
    return "/" + "/".join(part for part in path.split("/") if part and part != ".")


def lookup(client: Client, text: str) -> Item:
    """The item of one literal path."""
    path = absolute(client, text)
    return Item(client, text, path, client.namenode.get_file_info(path))


def expand(client: Client, text: str) -> list[Item]:
    """The items that a path or pattern (`*`, `?`, `[..]`, `{a,b}`) names; a literal path may not exist.

    Raises:
        PathError: the pattern matches nothing.
    """
    if not GLOB.search(text):
        return [lookup(client, text)]
    found = [item for option in _alternatives(text) for item in _expand_one(client, option)]
    if not found:
        raise PathError(text, NO_SUCH_FILE)
    return sorted(found, key=lambda item: item.path.encode())


def _alternatives(text: str) -> list[str]:
    match = re.search(r"\{([^{}]*)\}", text)
    if match is None:
        return [text]
    before, after = text[: match.start()], text[match.end() :]
    return [full for option in match[1].split(",") for full in _alternatives(before + option + after)]


def _expand_one(client: Client, text: str) -> list[Item]:
    path = absolute(client, text)
    shown = path if "://" in text or text.startswith("/") else None
    prefix = text[: text.index(urlsplit(text).path)] if "://" in text else ""
    root = Item(client, prefix + "/", "/", client.namenode.get_file_info("/"))
    items = [root]
    parts = [part for part in path.split("/") if part]
    for part in parts:
        items = [match for item in items for match in _matches(item, part)]
    if shown is None:
        home = absolute(client, "") + "/"
        items = [Item(client, item.path.removeprefix(home), item.path, item.status) for item in items]
    return items


def _matches(item: Item, part: str) -> Iterator[Item]:
    if not item.is_directory:
        return
    if GLOB.search(part):
        pattern = re.compile(fnmatch.translate(part.replace("[^", "[!")))
        yield from (child for child in item.children() if pattern.match(child.name))
        return
    try:
        child = item.named_child(part)
    except (FileNotFound, InvalidPath):
        return
    if child.exists:
        yield child
