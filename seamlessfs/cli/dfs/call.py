"""One command of the shell while it runs: its options and arguments, the clusters it talks to, what failed."""

from __future__ import annotations

import dataclasses
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from seamlessfs.cli.dfs.item import Item, PathError, UsageError, authority_and_path, expand
from seamlessfs.client.client import Client
from seamlessfs.client.options import ClientOptions
from seamlessfs.model.errors import SeamlessError


@dataclass(frozen=True)
class Command:
    """One command: its usage line, what it does, its options (getopt letters), and the number of its arguments."""

    run: Callable[[Call], None]
    usage: str
    help: str
    options: str = ""
    least: int = 1
    most: int = 1 << 30


class Shell:
    """One run of the shell: the cluster it talks to, where it writes, and what failed so far."""

    def __init__(self, options: ClientOptions, conf: str | None = None) -> None:
        self.options = options
        self.conf = conf
        self.out: Any = sys.stdout
        self.err: Any = sys.stderr
        self.exit_code = 0
        self._clients: dict[str, Client] = {}

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

    def fail(self, name: str, error: SeamlessError | OSError) -> None:
        """Shows one argument's failure and remembers it for the exit code."""
        text = str(error).splitlines()[0] if str(error) else type(error).__name__
        if isinstance(error, OSError) and not isinstance(error, SeamlessError):
            text = str(PathError(str(error.filename), error.strerror or text)) if error.filename else text
        print(f"{name}: {text}", file=self.err)
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

    def each(self, texts: Sequence[str], action: Callable[[Item], None]) -> None:
        """Runs `action` on everything that the arguments name; a failure is shown and the rest goes on."""
        for text in texts:
            try:
                items = self.shell.expand(text)
            except (SeamlessError, OSError) as error:
                self.shell.fail(self.name, error)
                continue
            for item in items:
                self.attempt(lambda item=item: action(item))  # type: ignore[misc]

    def attempt(self, action: Callable[[], None]) -> None:
        """Runs `action`; its failure is shown."""
        try:
            action()
        except UsageError:
            raise
        except BrokenPipeError:
            raise
        except (SeamlessError, OSError) as error:
            self.shell.fail(self.name, error)
