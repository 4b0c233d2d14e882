"""The wheel, installed with its core dependencies alone, is a whole client; daemons say what they lack."""

from __future__ import annotations

import subprocess
import zipfile
from pathlib import Path

import pytest

from seamlessfs import __version__
from seamlessfs.cli.mini import MiniCluster
from tests.support.installed_package import CLONE, build_wheel, install, run

SERVER_ONLY = {"grpc", "lmdb", "pyarrow", "pydantic", "sortedcontainers", "uvloop", "xxhash"}
READ = """
import sys, fsspec
url = sys.argv[1]
assert fsspec.get_filesystem_class("seamless").__module__ == "seamlessfs.filesystem"
with fsspec.open(url, "wb") as file:
    file.write(b"through the wheel")
with fsspec.open(url) as file:
    print(file.read().decode())
print(*sorted({name.partition(".")[0] for name in sys.modules}))
"""


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build_wheel(tmp_path_factory.mktemp("wheel"))


@pytest.fixture(scope="module")
def binaries(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """`bin` of an environment with the wheel and what it needs."""
    return install(wheel, tmp_path_factory.mktemp("installed") / "venv")


def test_the_wheel_has_the_package_its_types_and_nothing_else(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        names = {name for name in archive.namelist() if not name.startswith(f"seamlessfs-{__version__}.dist-info/")}
    sources = (path for path in (CLONE / "seamlessfs").rglob("*") if path.suffix in (".py", ".pyi", ".typed"))
    assert names == {str(path.relative_to(CLONE)) for path in sources}
    assert "seamlessfs/py.typed" in names


def test_fsspec_finds_it_and_reads_without_a_package_of_the_daemons(binaries: Path, mini: MiniCluster) -> None:
    printed = run([binaries / "python", "-c", READ, f"{mini.url}/installed/fsspec"]).splitlines()
    assert printed[0] == "through the wheel"
    assert SERVER_ONLY.isdisjoint(printed[1].split())
    assert "seamlessfs" in printed[1].split()


def test_the_shell_works(binaries: Path, mini: MiniCluster, tmp_path: Path) -> None:
    (tmp_path / "local").write_text("from a shell\n")
    command = binaries / "seamlessfs"
    dfs = [command, "dfs", "-fs", f"hdfs://{mini.namenode_address}"]
    run([*dfs, "-mkdir", "-p", "/installed"])
    run([*dfs, "-put", "-f", tmp_path / "local", "/installed/shell"])
    assert run([*dfs, "-cat", "/installed/shell"]) == "from a shell\n"
    assert "/installed/shell" in run([command, "where", "-fs", f"hdfs://{mini.namenode_address}", "/installed/shell"])
    assert "-put" in run([command, "dfs", "-help", "put"])
    assert run([command, "--version"]) == f"seamlessfs {__version__}\n"


@pytest.mark.parametrize("words", [("namenode",), ("datanode",), ("config", "show"), ("mini", "--port", "0")])
def test_a_command_of_the_daemons_says_which_extra_it_needs(binaries: Path, words: tuple[str, ...]) -> None:
    done = subprocess.run([binaries / "seamlessfs", *words], capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 1
    assert "is not installed: run pip install 'seamlessfs[server]'" in done.stderr
    assert "Traceback" not in done.stderr
