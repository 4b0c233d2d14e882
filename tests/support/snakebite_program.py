"""Commands of the snakebite shell, run by the interpreter of its own environment: `snakebite_program.py HOST PORT`.

Standard input is JSON, a list of commands as lists of words. Each runs in a forked child; printed is a JSON list of
[exit code, standard output, standard error].
"""

from __future__ import annotations

import json
import os
import sys
import tempfile
from typing import Any

from snakebite.commandlineparser import CommandLineParser


def execute(words: list[str]) -> int:
    shell = CommandLineParser()
    try:
        shell.parse(words)
        shell.init()
        shell.execute()
    except SystemExit as end:
        return end.code if isinstance(end.code, int) else int(bool(end.code))
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
    return 0


def run(words: list[str]) -> list[Any]:
    with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err:
        child = os.fork()
        if child == 0:
            os.dup2(out.fileno(), 1)
            os.dup2(err.fileno(), 2)
            os._exit(execute(words))
        _, status = os.waitpid(child, 0)
        texts = []
        for file in (out, err):
            file.seek(0)
            texts.append(file.read().decode("latin-1"))
        return [os.waitstatus_to_exitcode(status), *texts]


if __name__ == "__main__":
    host, port = sys.argv[1:]
    print(json.dumps([run(["-n", host, "-p", port, *words]) for words in json.load(sys.stdin)]))
