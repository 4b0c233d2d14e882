"""One command of the shell while it runs: its options and arguments, the clusters it talks to, what failed."""

from __future__ import annotations

import dataclasses
import sys
import threading
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from seamlessfs.cli.dfs.item import Item, PathError, UsageError, authority_and_path, expand
from seamlessfs.client.client import Client
from seamlessfs.client.options import ClientOptions
from seamlessfs.config.hadoop import HadoopConfiguration
from seamlessfs.model.errors import SeamlessError


class Shell:
    """One run of the shell: the cluster it talks to, where it writes, and what failed so far.

    Args:
        options: of the default cluster.
        conf: directory of the Hadoop configuration that was named.
        configuration: what that directory and -D say.
    """

    def __init__(
        self, options: ClientOptions, conf: str | None = None, configuration: HadoopConfiguration | None = None
    ) -> None:
        self.options = options
        self.conf = conf
        self.configuration = configuration or HadoopConfiguration({})
        self.out: Any = sys.stdout
        self.err: Any = sys.stderr
        self.exit_code = 0
        self._clients: dict[str, Client] = {}
        self._lock = threading.Lock()

    def client(self, text: str) -> Client:
        """The client of the cluster that a path names; the default one for a path without an authority."""
        url = authority_and_path(text)[0]
        options = self.options
        if url and not url.endswith("://"):
            other = ClientOptions.from_url(url, hadoop_conf_dir=self.conf)
            options = dataclasses.replace(options, addresses=other.addresses, authority=other.authority)
        if options.authority not in self._clients:
            self._clients[options.authority] = Client(options)
        return self._clients[options.authority]

    def expand(self, text: str) -> list[Item]:
        return expand(self.client(text), text)

    def warn(self, text: str) -> None:
        print(text, file=self.err)

    def fail(self, name: str, error: SeamlessError | OSError) -> None:
        """Shows one argument's failure and remembers it for the exit code. Threads may fail at the same time."""
        text = str(error).splitlines()[0] if str(error) else type(error).__name__
        if isinstance(error, OSError) and not isinstance(error, SeamlessError):
            text = str(PathError(str(error.filename), error.strerror or text)) if error.filename else text
        with self._lock:
            self.warn(f"{name}: {text}")
            self.exit_code = 1

    def close(self) -> None:
        for client in self._clients.values():
            client.close()


@dataclass
class Call:
    """One command with its options and arguments."""

    shell: Shell
    name: str
    flags: dict[str, str]
    arguments: list[str]

    def has(self, flag: str) -> bool:
        return flag in self.flags

    def print(self, text: str) -> None:
        print(text, file=self.shell.out)

    def write(self, chunks: Iterable[bytes]) -> None:
        """Bytes on the standard output, behind what was printed."""
        self.shell.out.flush()
        for chunk in chunks:
            self.shell.out.buffer.write(chunk)
        self.shell.out.buffer.flush()

    def expand(self, texts: Sequence[str]) -> list[Item]:
        """Everything that the arguments name; a pattern that names nothing is shown as a failure."""
        items: list[Item] = []
        for text in texts:
            self.attempt(lambda text=text: items.extend(self.shell.expand(text)))  # type: ignore[misc]
        return items

    def each(self, texts: Sequence[str], action: Callable[[Item], object]) -> None:
        """Runs `action` on everything that the arguments name; a failure is shown and the rest goes on."""
        for item in self.expand(texts):
            self.attempt(lambda item=item: action(item))  # type: ignore[misc]

    def each_tree(self, texts: Sequence[str], action: Callable[[Item], object], below: bool = True) -> None:
        """As `each`, for what exists; with `below` on everything in directories too."""

        def one(item: Item) -> None:
            if below:
                self.tree(item, action)
            else:
                item.require()
                action(item)

        self.each(texts, one)

    def below(self, item: Item, action: Callable[[Item], object]) -> None:
        """Runs `action` on everything below a directory, each directory before what is in it."""
        for child in item.children():
            self.attempt(lambda child=child: self.tree(child, action))  # type: ignore[misc]

    def tree(self, item: Item, action: Callable[[Item], object]) -> None:
        """Runs `action` on a path that exists and, where that succeeds, on everything below it."""
        item.require()
        action(item)
        if item.is_directory:
            self.below(item, action)

    def attempt(self, action: Callable[[], object]) -> None:
        """Runs `action`; its failure is shown."""
        try:
            action()
        except (UsageError, BrokenPipeError):
            raise
        except (SeamlessError, OSError) as error:
            self.shell.fail(self.name, error)
