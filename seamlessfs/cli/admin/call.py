"""One administrator's command while it runs: its words, the cluster it talks to, and how it fails."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Sequence
from functools import cached_property
from typing import Any

from seamlessfs.cli import generic
from seamlessfs.cli.generic import Generic
from seamlessfs.client.admin import NamenodeAdmin
from seamlessfs.client.client import Client
from seamlessfs.client.options import ClientOptions
from seamlessfs.model.errors import ConfigurationError, SeamlessError

FAILED = 255
"""What a shell sees of Hadoop's -1."""


class Usage(Exception):
    """The arguments are not understood: the usage is to be shown."""


class AdminCall:
    """A command. The cluster is not called before it is asked something."""

    def __init__(self, options: Generic) -> None:
        self.generic = options
        self.words = options.words
        self.name = ""
        self.arguments: list[str] = []
        self._usage = ""

    def begin(self, name: str, arguments: list[str], usage: str) -> None:
        """The command of a tool with several: its name, as messages begin with it."""
        self.name, self.arguments, self._usage = name, arguments, usage

    @property
    def json(self) -> bool:
        return self.generic.json

    @cached_property
    def options(self) -> ClientOptions:
        return self.generic.client_options()

    @property
    def authority(self) -> str:
        return self.options.authority

    @property
    def user(self) -> str:
        return self.options.user

    @cached_property
    def client(self) -> Client:
        return Client(self.options)

    @cached_property
    def namenode(self) -> NamenodeAdmin:
        return NamenodeAdmin(self.client)

    def print_usage(self) -> None:
        print(self._usage, file=sys.stderr)

    def print_json(self, value: Any) -> None:
        print(json.dumps(value))

    def close(self) -> None:
        if "client" in self.__dict__:
            self.client.close()


def run_tool(words: Sequence[str], tool: Callable[[AdminCall], int]) -> int:
    """Runs a tool on what stands behind its own name; an error is one line, the first one of its text."""
    try:
        call = AdminCall(generic.parse(list(words[1:])))
    except ConfigurationError as error:
        print(f"{words[0]}: {error}", file=sys.stderr)
        return FAILED
    try:
        return tool(call)
    except Usage:
        call.print_usage()
        return FAILED
    except SeamlessError as error:
        print(f"{call.name or words[0]}: {str(error).partition(chr(10))[0]}", file=sys.stderr)
        return FAILED
    finally:
        call.close()
