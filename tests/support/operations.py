"""Every operation of our client as a row: what it does with a server, and what of the answer must be the same on any.

A row is a function of a `World`, registered under the methods that it runs. Its result is compared between servers
after `plain` has taken out what a server is free to choose: ids, times, datanodes, the number of replicas.
"""

from __future__ import annotations

import dataclasses
import enum
import inspect
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from seamlessfs.client.client import Client
from seamlessfs.client.file_reader import FileReader
from seamlessfs.client.file_writer import FileWriter
from seamlessfs.client.fsspec_file import SeamlessFile
from seamlessfs.client.namenode import NamenodeClient
from seamlessfs.filesystem import SeamlessFileSystem
from seamlessfs.model.errors import NoSuchMethod, SeamlessError, UnsupportedOperation
from tests.support.observe import until

SUBJECTS = (Client, NamenodeClient, FileReader, FileWriter, SeamlessFileSystem, SeamlessFile)
CHOSEN_BY_THE_SERVER = {
    "accessed_at_ms",
    "atime",
    "created",
    "generation_stamp",
    "ino",
    "inode_id",
    "locations",
    "modified_at_ms",
    "mtime",
    "policy_id",
    "pool_id",
    "replication",
    "space_consumed",
    "storage_policy_id",
}
"""Fields of answers that only have to be there."""

NOT_YET = "not supported by ours yet"


@dataclass(frozen=True)
class World:
    """A server, and a folder of one row there, the same on every server.

    Attributes:
        replication: what a file gets whose writer asks for nothing.
    """

    client: Client
    fs: SeamlessFileSystem
    folder: str
    replication: int

    @property
    def namenode(self) -> NamenodeClient:
        return self.client.namenode

    def at(self, name: str) -> str:
        return f"{self.folder}/{name}"

    def file(self, name: str, data: bytes = b"some content") -> str:
        """A closed file; its path."""
        self.client.write_file(self.at(name), data)
        return self.at(name)

    def reported(self, path: str) -> str:
        """The path, once the namenode knows of every replica of its file: it closes a file when it knows of some."""
        until(
            lambda: all(len(one.locations) == self.replication for one in self.client.locations(path).blocks),
            f"{self.replication} replicas of {path}",
        )
        return path

    def fails(self, call: Callable[..., Any], *arguments: Any, **named: Any) -> str:
        """Class and message of the error that a call must end with."""
        try:
            answer = call(*arguments, **named)
        except (SeamlessError, OSError) as error:
            return f"{type(error).__name__}: {str(error).splitlines()[0]}"
        raise AssertionError(f"{call} answered {answer!r} where an error was expected")


Row = Callable[[World], Any]
ROWS: dict[str, tuple[Row, tuple[str, ...]]] = {}
"""Name of a row -> what it does, and the methods that it runs."""


def operation(*methods: str) -> Callable[[Row], Row]:
    """Registers a row that runs these methods, each as `Class.method`."""

    def register(row: Row) -> Row:
        assert row.__name__ not in ROWS, row.__name__
        ROWS[row.__name__] = row, methods
        return row

    return register


def methods_of(subject: type) -> Iterator[str]:
    """Public methods and properties that we have written."""
    for name, value in inspect.getmembers(subject):
        ours = any(name in vars(kind) for kind in subject.__mro__ if kind.__module__.startswith("seamlessfs"))
        if ours and not name.startswith("_") and (callable(value) or isinstance(value, property)):
            yield f"{subject.__name__}.{name}"


def plain(value: Any) -> Any:
    """A value without what a server is free to choose."""
    if isinstance(value, enum.Enum):
        return value.name
    if hasattr(value, "_asdict"):
        return plain(value._asdict())
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return plain({field.name: getattr(value, field.name) for field in dataclasses.fields(value)})
    if isinstance(value, dict):
        return {key: key in CHOSEN_BY_THE_SERVER or plain(part) for key, part in value.items()}
    if isinstance(value, list | tuple):
        return [plain(part) for part in value]
    return value


def attempt(row: Row, world: World) -> Any:
    """What a row gives on a server, or that the server lacks the method."""
    try:
        return plain(row(world))
    except (NoSuchMethod, UnsupportedOperation):
        return NOT_YET
