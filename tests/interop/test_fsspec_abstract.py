"""fsspec's own abstract suites, unchanged and all of them."""

from __future__ import annotations

import posixpath
import uuid
from collections.abc import Callable, Iterator

import fsspec
import pytest
from fsspec.tests import abstract

from seamlessfs.filesystem import SeamlessFileSystem


class SeamlessFixtures(abstract.AbstractFixtures):
    @pytest.fixture
    def fs(self, namenode_address: str) -> SeamlessFileSystem:
        return fsspec.filesystem("seamless", host=namenode_address)

    @pytest.fixture
    def fs_join(self) -> Callable[..., str]:
        return posixpath.join

    @pytest.fixture
    def fs_path(self, fs: SeamlessFileSystem) -> Iterator[str]:
        path = f"/fsspec-{uuid.uuid4().hex}"
        fs.makedirs(path)
        yield path
        fs.rm(path, recursive=True)


class TestCopy(abstract.AbstractCopyTests, SeamlessFixtures):
    pass


class TestGet(abstract.AbstractGetTests, SeamlessFixtures):
    pass


class TestPut(abstract.AbstractPutTests, SeamlessFixtures):
    pass


class TestOpen(abstract.AbstractOpenTests, SeamlessFixtures):
    pass


class TestPipe(abstract.AbstractPipeTests, SeamlessFixtures):
    pass


def test_no_suite_of_fsspec_is_left_out() -> None:
    exported = {name for name in vars(abstract) if name.startswith("Abstract") and name.endswith("Tests")}
    here = {base.__name__ for case in (TestCopy, TestGet, TestPut, TestOpen, TestPipe) for base in case.__bases__}
    assert exported == here - {"SeamlessFixtures"}
