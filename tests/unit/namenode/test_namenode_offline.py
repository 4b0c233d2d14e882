"""`seamlessfs namenode --check`: everything that a stopped namenode left is checked, and what is wrong is said."""

from __future__ import annotations

from pathlib import Path

import pytest

from seamlessfs.cli.main import main
from seamlessfs.journal import record
from seamlessfs.journal.embedded import EmbeddedJournal
from seamlessfs.model.ids import Txid
from seamlessfs.store import keys
from seamlessfs.store.lmdb import LmdbStore
from tests.support.namespace_harness import Harness

SECRET = "0123456789abcdef"


class Recorder(Harness):
    """A namespace whose batches go to a namenode's folder: the first to the store, the others to the journal only."""

    def __init__(self, folder: Path) -> None:
        self.journal = EmbeddedJournal(folder / "journal")
        self.store = LmdbStore(folder / "store")
        super().__init__()

    def seal(self) -> None:
        self.overlay.run(self.namespace.settle)
        txid, writes = self.overlay.seal()
        self.journal.append(txid, record.encode(writes))
        if txid == 1:
            self.store.apply(writes, txid)
        self.overlay.commit()

    def close(self) -> None:
        self.journal.close()
        self.store.close()


def checked(folder: Path, capsys: pytest.CaptureFixture[str]) -> tuple[int, str]:
    secret, config = folder / "secret", folder / "config.toml"
    secret.write_text(SECRET)
    secret.chmod(0o600)
    config.write_text(f'[namenode]\ndata_dir = "{folder / "data"}"\ncluster_secret_file = "{secret}"\n')
    code = main(["namenode", "--config", str(config), "--check"])
    captured = capsys.readouterr()
    return code, captured.out + captured.err


@pytest.fixture
def namespace(tmp_path: Path) -> Recorder:
    recorder = Recorder(tmp_path / "data")
    recorder.mkdirs("/d")
    recorder.write_file("/d/f", (100, 7))
    return recorder


def test_a_whole_namespace_has_no_problems(
    namespace: Recorder, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    namespace.close()
    assert checked(tmp_path, capsys) == (0, f"no problems in the namespace of {tmp_path}/data at batch 6\n")
    assert checked(tmp_path, capsys)[0] == 0


def test_what_is_wrong_is_said_also_what_only_the_journal_has(
    namespace: Recorder, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    status = namespace.info("/d/f")
    assert status is not None
    namespace.gather(lambda tx: tx.delete(keys.inode(status.inode_id)))
    namespace.seal()
    namespace.close()
    code, said = checked(tmp_path, capsys)
    assert code == 1
    assert f"|f: inode {status.inode_id} does not point to this entry\n" in said
    assert said.endswith("problems in the namespace of " + f"{tmp_path}/data at batch 7\n")


def test_a_folder_without_a_namespace_is_left_as_it_is(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, said = checked(tmp_path, capsys)
    assert (code, "holds no namespace to check" in said) == (1, True)
    assert not (tmp_path / "data").exists()


def test_a_folder_in_use_is_refused(namespace: Recorder, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, said = checked(tmp_path, capsys)
    namespace.close()
    assert (code, "is in use by another process" in said) == (1, True)


def test_a_store_that_is_behind_its_journal_is_corrupt(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    data = tmp_path / "data"
    EmbeddedJournal(data / "journal", start_after=Txid(5)).close()
    LmdbStore(data / "store").close()
    code, said = checked(tmp_path, capsys)
    assert (code, "the store is older than the journal" in said) == (1, True)
