"""Paths with every trick in every call that takes one: stock HDFS says what is right; where ours differs, why."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest

from tests.support.clusters import Cluster
from tests.support.namenode_session import Session, mode
from tests.support.path_tricks import BROKEN, CALLS, LONG, PATHS, SETTING, outcomes, stock_outcomes
from tests.support.raw_rpc import RawRpc, Refused
from tests.support.refusals import INVALID

NOT_UTF8 = re.compile(
    r"org\.apache\.hadoop\.thirdparty\.protobuf\.InvalidProtocolBufferException: "
    r"Field (src|dst|path|filename) of \w+RequestProto is not valid UTF-8: send its text in UTF-8"
)
MAKING = ("mkdirs", "mkdirs without parents", "create", "rename to", "rename2 to")


def invalid(call: str, path: str) -> str:
    """How a path that cannot be is refused."""
    begins = "Invalid file name: " if call in MAKING and call != "create" else ""
    return f"{INVALID}: Invalid path name {begins}{path}"


def expected(name: str, call: str, stock: str) -> str | re.Pattern[str]:
    """What ours says where stock says `stock`."""
    path = PATHS[name].removeprefix("!") if name in PATHS else ""
    if stock.startswith("java.lang.AssertionError: Absolute path required"):
        return f"{INVALID}: Invalid path name {path}"  # an assertion of Java's, which production does not even check
    if stock.startswith("java.lang.IllegalArgumentException: Can not create a Path from an empty string"):
        return invalid(call, path)  # the class of an accident
    if any(character in path for character in BROKEN):
        return NOT_UTF8  # stock puts other characters in their place, and then works on another path than was meant
    if "\0" in path and call in MAKING:
        return invalid(call, path)  # stock makes a name that no local file system and no C program can have
    if name == "snapshot" and call == "getListing":
        return "False"  # there are no snapshots here yet: nothing is found there
    return stock


@pytest.fixture
def rpc(cluster: Cluster) -> Iterator[RawRpc]:
    with RawRpc(cluster.host, cluster.port, "root") as opened:
        yield opened


@pytest.mark.parametrize("name", PATHS | LONG)
def test_a_path_in_every_call(name: str, cluster: Cluster, rpc: RawRpc) -> None:
    session = Session(rpc, cluster.folder, "tricks")
    wrong = {}
    seen = []
    for call, said in outcomes(session, rpc, (PATHS | LONG)[name], cluster.replication):
        seen.append(call)
        stock = stock_outcomes(name)[call]
        wanted = expected(name, call, stock) if cluster.ours else stock
        if said != wanted if isinstance(wanted, str) else not wanted.fullmatch(said):
            wrong[call] = (said, wanted)
    session.delete("", recursive=True)
    assert not wrong
    assert len(seen) >= len(CALLS) - len(SETTING)


@pytest.mark.parametrize("name", ["composed", "decomposed", "control characters", "right to left", "shell", "percent"])
def test_names_are_kept_as_they_are_given(name: str, cluster: Cluster, rpc: RawRpc) -> None:
    session = Session(rpc, cluster.folder, "tricks")
    path = PATHS[name].replace("~", cluster.folder)
    session.call("mkdirs", src=path, masked=mode(0o755), createParent=True)
    listing = session.call("getListing", src=cluster.folder, startAfter=b"", needLocation=False).dirList
    assert [entry.path for entry in listing.partialListing] == [path.removeprefix(f"{cluster.folder}/").encode()]
    session.delete("", recursive=True)


def test_normal_forms_are_different_names(cluster: Cluster, rpc: RawRpc) -> None:
    """Deviation: a listing is in the order of the bytes; Java's have a sign, so stock lists `\u00e9` before `e`."""
    session = Session(rpc, cluster.folder, "tricks")
    for name in ("composed", "decomposed"):
        assert session.mkdirs(PATHS[name].replace("~", cluster.folder))
    listing = session.call("getListing", src=cluster.folder, startAfter=b"", needLocation=False).dirList
    in_order = ["e\u0301".encode(), "\u00e9".encode()]
    assert [entry.path for entry in listing.partialListing] == (in_order if cluster.ours else in_order[::-1])
    session.delete("", recursive=True)


@pytest.mark.parametrize("user", ["a/b", "a@b", "ü", "a:b", "a\0b", "a\nb", "../root", "$(reboot)", "n" * 255])
def test_any_user_is_who_he_says_up_to_the_first_slash_or_at(user: str, cluster: Cluster, rpc: RawRpc) -> None:
    root = Session(rpc, cluster.folder, "tricks")
    root.mkdirs("")
    root.chmod("", 0o777)
    with RawRpc(cluster.host, cluster.port, user) as own:
        session = Session(own, cluster.folder, "own")
        session.mkdirs("mine")
        owner = session.call("getFileInfo", src=session.at("mine")).fs.owner
    assert owner == re.split("[/@]", user)[0]
    root.delete("", recursive=True)


@pytest.mark.parametrize(
    ("user", "said"), [("n" * 256, "User name of 256 bytes: 255 are allowed"), ("@", "names no user"), ("", "no user")]
)
def test_a_user_without_a_name_or_with_one_that_is_too_long(
    user: str, said: str, cluster: Cluster, rpc: RawRpc
) -> None:
    with RawRpc(cluster.host, cluster.port, user) as own:
        session = Session(own, "/", "own")
        if cluster.ours:
            with pytest.raises(Refused, match=said):
                session.call("getFileInfo", src="/")
        elif len(user) > 1:
            assert session.call("getFileInfo", src="/").HasField("fs")
        else:
            with pytest.raises(AssertionError, match="the server closed the connection"):
                session.call("getFileInfo", src="/")
