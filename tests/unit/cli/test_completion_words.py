"""What can follow a line without asking any cluster."""

from __future__ import annotations

import shlex
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from seamlessfs.cli.completion import quoted, suggest
from seamlessfs.cli.dfs.shell import commands
from seamlessfs.cli.main import COMMANDS, main


@pytest.mark.parametrize(
    ("line", "offered"),
    [
        ("seamlessfs comp", ["completion "]),
        ("seamlessfs nonsense ", []),
        ("seamlessfs completion b", ["bash "]),
        ("seamlessfs config sh", ["show "]),
        ("seamlessfs mini --r", ["--racks "]),
        ("seamlessfs dfs -mo", ["-moveFromLocal ", "-moveToLocal "]),
        ("seamlessfs dfs -fs", ["-fs "]),
        ("seamlessfs dfs -fs ", []),
        ("seamlessfs dfs -D a=b -u", ["-user ", "-usage "]),
        ("seamlessfs dfs -nonsense -", []),
        ("seamlessfs dfs -help setf", ["setfacl ", "setfattr "]),
        ("seamlessfs dfs -rm -s", ["-skipTrash ", "-safely "]),
        ("seamlessfs dfs -cp -p", ["-p "]),
        ("seamlessfs dfs -rmdir --", ["--ignore-fail-on-non-empty "]),
        ("seamlessfs dfs -touch -t", ["-t "]),
        ("seamlessfs dfs -put ./fi", []),
        ('seamlessfs "', []),
    ],
)
def test_words(line: str, offered: list[str]) -> None:
    assert suggest(line) == offered


def test_every_command_and_every_option_is_offered() -> None:
    assert suggest("seamlessfs ") == [f"{name} " for name in COMMANDS]
    assert {f"-{name} " for name in commands()} <= set(suggest("seamlessfs dfs -"))
    for name, command in commands().items():
        if name not in ("help", "usage"):
            assert suggest(f"seamlessfs dfs -{name} -") == [f"{flag} " for flag in command.flags()]


@given(st.text(st.characters(exclude_categories=("Cs", "Cc")), max_size=20))
def test_what_is_offered_is_read_as_it_is(name: str) -> None:
    assert shlex.split(f"a{quoted(name)}") == [f"a{name}"]


@pytest.mark.parametrize("shell", ["bash", "zsh"])
def test_the_script_of_each_shell(shell: str, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    assert main(["completion", shell]) == 0
    script = capsys.readouterr().out
    assert script.endswith("complete -o nospace -o default -F _seamlessfs seamlessfs\n")
    assert ("bashcompinit" in script) == (shell == "zsh")
