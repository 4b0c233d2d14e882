"""A client and its open files survive a plain fork: parent and children go on with them, each on its own."""

from __future__ import annotations

import gc
import os
import random
import signal
import threading
import traceback
import uuid
from collections.abc import Callable, Iterator

import pytest

from seamlessfs.client.client import Client
from seamlessfs.client.options import ClientOptions
from seamlessfs.filesystem import SeamlessFileSystem

CHILD_TIMEOUT_S = 60
DATA = random.Random(7).randbytes(3_000_001)
BLOCK_BYTES = 1 << 20


def fork(work: Callable[[], None]) -> int:
    """Runs `work` in a child that is killed when it hangs; returns its process id."""
    pid = os.fork()
    if pid:
        return pid
    signal.signal(signal.SIGALRM, signal.SIG_DFL)
    signal.alarm(CHILD_TIMEOUT_S)
    status = 1
    try:
        work()
        gc.collect()
        status = 0
    except BaseException:
        traceback.print_exc()
    os._exit(status)


def outcome(pid: int) -> int:
    """Exit status of a child; minus the signal's number if one killed it."""
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


@pytest.fixture(autouse=True, scope="module")
def left_alone() -> Iterator[None]:
    """What other tests have left in this process is no matter of a child: gRPC's objects do not survive a fork."""
    gc.collect()
    gc.freeze()
    yield
    gc.unfreeze()


@pytest.fixture
def client(namenode_address: str) -> Iterator[Client]:
    with Client(ClientOptions.from_url(f"seamless://{namenode_address}/")) as made:
        yield made


@pytest.fixture
def path(client: Client) -> Iterator[str]:
    folder = f"/fork-{uuid.uuid4().hex}"
    client.write_file(f"{folder}/file", DATA, block_size_bytes=BLOCK_BYTES)
    yield f"{folder}/file"
    client.delete(folder, recursive=True)


def expect_whole(client: Client, path: str) -> None:
    assert client.read_file(path) == DATA


def test_children_and_parent_read_with_one_client(client: Client, path: str) -> None:
    expect_whole(client, path)
    children = [fork(lambda: expect_whole(client, path)) for _ in range(4)]
    expect_whole(client, path)
    assert [outcome(pid) for pid in children] == [0, 0, 0, 0]
    expect_whole(client, path)


def test_a_stream_that_is_half_read_is_read_on_by_both(client: Client, path: str) -> None:
    with client.open_read(path) as reader:
        start = b"".join(reader.pread(offset, 100_000) for offset in range(0, 500_000, 100_000))
        assert start == DATA[:500_000]

        def read_on() -> None:
            got = b"".join(reader.pread(offset, 100_000) for offset in range(500_000, len(DATA), 100_000))
            assert got == DATA[500_000:]

        children = [fork(read_on) for _ in range(2)]
        read_on()
        assert [outcome(pid) for pid in children] == [0, 0]


def test_a_file_open_for_writing_stays_the_parents(client: Client, path: str) -> None:
    target = f"{path}.written"
    writer = client.open_write(target, block_size_bytes=BLOCK_BYTES)
    writer.write(DATA[:1_500_000])

    def meddle() -> None:
        with pytest.raises(ValueError, match="opened for writing by process"):
            writer.write(b"from the child")
        writer.close()
        writer.abort()

    assert outcome(fork(meddle)) == 0
    writer.write(DATA[1_500_000:])
    writer.close()
    assert client.read_file(target) == DATA


def test_a_child_that_drops_its_parents_open_file_does_not_close_it(namenode_address: str, path: str) -> None:
    fs = SeamlessFileSystem(host=namenode_address, skip_instance_cache=True)
    target = f"{path}.dropped"
    files = [fs.open(target, "wb")]
    files[0].write(DATA[:100])
    assert outcome(fork(files.clear)) == 0
    files[0].write(DATA[100:])
    files[0].close()
    assert fs.cat_file(target) == DATA


def test_parent_and_child_write_files_of_their_own(client: Client, path: str) -> None:
    with client.open_write(f"{path}.parent") as writer:
        writer.write(DATA[:1000])
        child = fork(lambda: client.write_file(f"{path}.child", DATA))
        assert outcome(child) == 0
        writer.write(DATA[1000:])
    assert client.read_file(f"{path}.parent") == DATA
    assert client.read_file(f"{path}.child") == DATA


def test_the_child_holds_leases_under_a_name_of_its_own(client: Client, path: str) -> None:
    parents_name = client.session.client_name

    def compare() -> None:
        assert client.session.client_name != parents_name

    assert outcome(fork(compare)) == 0
    assert client.session.client_name == parents_name


def test_forks_while_threads_read_leave_no_lock_behind(client: Client, path: str) -> None:
    stop = threading.Event()
    failures: list[BaseException] = []

    def keep_reading() -> None:
        try:
            while not stop.is_set():
                expect_whole(client, path)
        except BaseException as error:
            failures.append(error)

    threads = [threading.Thread(target=keep_reading) for _ in range(3)]
    for thread in threads:
        thread.start()
    try:
        outcomes = [outcome(fork(lambda: expect_whole(client, path))) for _ in range(10)]
    finally:
        stop.set()
        for thread in threads:
            thread.join()
    assert outcomes == [0] * 10
    assert failures == []
