"""What every test may ask for: stock peers, a stock HDFS, stock shells."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from seamlessfs.cli.mini import MiniCluster
from tests.support.java_shell import JavaShell
from tests.support.peer_files import SERVER_VERSION, SHELL_VERSIONS, PeerFiles, PeersMissing
from tests.support.stock_hdfs import StockHdfs

_left_out: list[str] = []


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--require-peers",
        action="store_true",
        help="tests that need stock peers fail, instead of being skipped, when `make peers` has not brought them",
    )


def pytest_deselected(items: list[pytest.Item]) -> None:
    _left_out.extend(item.nodeid for item in items if item.get_closest_marker("peers"))


def pytest_sessionfinish(session: pytest.Session) -> None:
    """A process that runs a part of the tests tells the one that started it what was left out."""
    if (output := getattr(session.config, "workeroutput", None)) is not None:
        output["left_out"] = _left_out


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node: Any) -> None:
    """Every part leaves out the same."""
    _left_out[:] = getattr(node, "workeroutput", {}).get("left_out", _left_out)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Says what `-m "not peers"` left out, and why."""
    if _left_out:
        terminalreporter.write_line(
            f"{len(_left_out)} tests against stock peers left out: `make peers && make test-all` runs them"
        )


@pytest.fixture(scope="session")
def peers(request: pytest.FixtureRequest) -> PeerFiles:
    """The stock peers; skips, or fails under --require-peers, where they are missing."""
    try:
        return PeerFiles.find()
    except PeersMissing as error:
        reason = str(error)
    if request.config.getoption("--require-peers"):
        pytest.fail(reason, pytrace=False)
    pytest.skip(reason)


@pytest.fixture(scope="session")
def stock_hdfs(peers: PeerFiles, tmp_path_factory: pytest.TempPathFactory) -> Iterator[StockHdfs]:
    """A running stock HDFS with three datanodes."""
    cluster = StockHdfs(tmp_path_factory.mktemp("stock-hdfs"), peers)
    cluster.start()
    yield cluster
    cluster.stop()


@pytest.fixture(scope="session", params=SHELL_VERSIONS)
def java_shell(
    request: pytest.FixtureRequest, peers: PeerFiles, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[JavaShell]:
    """Hadoop's shell, once in each version."""
    version = str(request.param)
    with JavaShell(peers, version, tmp_path_factory.mktemp(f"shell-{version}")) as shell:
        yield shell


@pytest.fixture(scope="module")
def socket_folder() -> Iterator[Path]:
    """A folder for UNIX sockets: its name is short, as their paths must be, and only this user can write to it."""
    with tempfile.TemporaryDirectory(prefix="sf-", dir="/tmp") as name:
        yield Path(name)


@pytest.fixture(scope="session")
def admin_shell(peers: PeerFiles, tmp_path_factory: pytest.TempPathFactory) -> Iterator[JavaShell]:
    """HDFS's tools for administrators, `tests.support.admin_tools.TOOLS`."""
    with JavaShell(peers, SERVER_VERSION, tmp_path_factory.mktemp("admin-shell")) as shell:
        yield shell


@pytest.fixture(scope="session")
def mini(tmp_path_factory: pytest.TempPathFactory) -> Iterator[MiniCluster]:
    """Our own cluster: two IDCs x two racks x two datanodes, as real processes. Shared: use folders of your own."""
    folder = tmp_path_factory.mktemp("mini")
    settings = {"settle_ms": 1000, "placement_wait_ms": 5000, "audit_log_file": folder / "audit.log"}
    with MiniCluster(folder, namenode_settings=settings) as cluster:
        yield cluster
