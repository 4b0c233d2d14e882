"""`seamlessfs COMMAND`: finds the command and turns errors into messages and exit codes."""

from __future__ import annotations

import argparse
import importlib
import sys
from collections.abc import Sequence

from seamlessfs import __version__
from seamlessfs.model.errors import SeamlessError

COMMANDS = {
    "dfs": ("seamlessfs.cli.dfs.shell", "files: -ls -cat -put -get -mkdir -mv -cp -rm -du -find -count ..."),
    "dfsadmin": ("seamlessfs.cli.admin.dfsadmin", "the cluster: -report -safemode -printTopology -listOpenFiles ..."),
    "fsck": ("seamlessfs.cli.admin.fsck", "whether the blocks of files are where they should be"),
    "storagepolicies": ("seamlessfs.cli.admin.storagepolicies", "policies, and which one a path has"),
    "groups": ("seamlessfs.cli.admin.groups", "in which groups the namenode has users"),
    "getconf": ("seamlessfs.cli.admin.getconf", "what a Hadoop configuration says"),
    "where": ("seamlessfs.cli.where", "where each replica of a file is, and what is still owed"),
    "explain": ("seamlessfs.cli.explain", "why each replica of a block is where it is, and what happens next"),
    "health": ("seamlessfs.cli.health", "what the namenode has waiting, and what is stuck"),
    "mini": ("seamlessfs.cli.mini_command", "a whole cluster on this machine, in the foreground"),
    "namenode": ("seamlessfs.cli.daemons", "the metadata daemon"),
    "datanode": ("seamlessfs.cli.daemons", "the data daemon"),
    "config": ("seamlessfs.cli.config_command", "show, check or explain a configuration"),
    "completion": ("seamlessfs.cli.completion", "what makes the Tab key of bash or zsh complete all this"),
}
"""Command -> (module with `run(arguments) -> exit code`, what it is for). Modules are imported when asked for."""


EXAMPLES = """\
examples:
  seamlessfs mini                                               a cluster to try things on
  seamlessfs dfs -fs hdfs://127.0.0.1:8020 -put notes.txt /     a file goes in
  seamlessfs where -fs hdfs://127.0.0.1:8020 /notes.txt         where its replicas are
  seamlessfs dfs -help put                                      all about one command"""


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs one command and returns its exit code."""
    words = list(sys.argv[1:] if arguments is None else arguments)
    if not words or words[0] in ("-h", "--help", "help"):
        print(_usage())
        return 0 if words else 1
    if words[0] in ("-V", "--version"):
        print(f"seamlessfs {__version__}")
        return 0
    if words[0] not in COMMANDS:
        print(f"seamlessfs: {words[0]!r} is not a command\n{_usage()}", file=sys.stderr)
        return 2
    try:
        code: int = importlib.import_module(COMMANDS[words[0]][0]).run(words)
    except SeamlessError as error:
        print(f"seamlessfs {words[0]}: {error}", file=sys.stderr)
        return 1
    except ModuleNotFoundError as error:
        package = (error.name or "").partition(".")[0]
        if package == "seamlessfs":
            raise
        print(
            f"seamlessfs {words[0]}: {package} is not installed: run pip install 'seamlessfs[server]'", file=sys.stderr
        )
        return 1
    except KeyboardInterrupt:
        return 130
    except BrokenPipeError:
        sys.stderr.close()
        return 141
    return code


def parser(words: Sequence[str], description: str, *examples: str) -> argparse.ArgumentParser:
    """A parser for one command, named as the user typed it; its help ends with the examples."""
    return argparse.ArgumentParser(
        prog=f"seamlessfs {words[0]}",
        description=description,
        epilog="\n  ".join(["examples:", *examples]) if examples else None,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )


def _usage() -> str:
    width = max(map(len, COMMANDS))
    rows = "\n".join(f"  {name:<{width}}  {purpose}" for name, (_, purpose) in COMMANDS.items())
    return f"usage: seamlessfs COMMAND ...\n\n{rows}\n\n`seamlessfs COMMAND --help` explains one.\n\n{EXAMPLES}"


if __name__ == "__main__":
    raise SystemExit(main())
