"""The old rename, rename2, and rename2 that overwrites: the same answers and trees on stock HDFS and on ours."""

from __future__ import annotations

import pytest

from tests.support.namenode_session import Session
from tests.support.raw_rpc import Refused
from tests.support.refusals import World, plain

DONE, NO = "done", "no"
MUST_BOTH = "IOException: Source ~/{} and destination ~/{} must both be directories"
EXISTS = "FileAlreadyExistsException: rename destination ~/{} already exists"
SAME = "FileAlreadyExistsException: The source ~/{0} and destination ~/{0} are the same"
BELOW = "IOException: Rename destination ~/{} is a directory or file under source ~/d"
FULL = "IOException: rename destination directory is not empty: ~/{}"
NO_SOURCE = "FileNotFoundException: rename source ~/{} is not found."
NO_PARENT = "FileNotFoundException: rename destination parent ~/{} not found."
BAD_NAME = "InvalidPathException: Invalid path name Invalid file name: {}"
FROM_ROOT = "IOException: rename source cannot be the root"
UNDER_FILE = "AccessControlException: ~/f (is not a directory)"
INTO_FILE = "ParentNotDirectoryException: ~/f (is not a directory)"
RESERVED = 'HadoopIllegalArgumentException: ".snapshot" is a reserved name.'

TREE = ("d/", "d/f", "d/sub/", "e/", "f", "full/", "full/f", "full/x/", "g")

MOVES = (
    # source, target, and the answers of rename, rename2, and rename2 that overwrites
    ("f", "f", DONE, SAME.format("f"), SAME.format("f")),
    ("d", "d", NO, SAME.format("d"), SAME.format("d")),
    ("d/", "d", NO, SAME.format("d"), SAME.format("d")),
    ("f", "new", DONE, DONE, DONE),
    ("f/", "new", DONE, DONE, DONE),
    ("f", "new/", DONE, DONE, DONE),
    ("d", "new", DONE, DONE, DONE),
    ("d", "dd", DONE, DONE, DONE),
    ("f", "g", NO, EXISTS.format("g"), DONE),
    ("f", "e", DONE, MUST_BOTH.format("f", "e"), MUST_BOTH.format("f", "e")),
    ("f", "d", NO, MUST_BOTH.format("f", "d"), MUST_BOTH.format("f", "d")),
    ("f", "d/", NO, MUST_BOTH.format("f", "d"), MUST_BOTH.format("f", "d")),
    ("d", "f", NO, MUST_BOTH.format("d", "f"), MUST_BOTH.format("d", "f")),
    ("d", "e", DONE, EXISTS.format("e"), DONE),
    ("d", "full", DONE, EXISTS.format("full"), FULL.format("full")),
    ("e", "full/x", DONE, EXISTS.format("full/x"), DONE),
    ("full/x", "e", DONE, EXISTS.format("e"), DONE),
    ("d/sub", "d", DONE, EXISTS.format("d"), FULL.format("d")),
    ("d/f", "d", DONE, MUST_BOTH.format("d/f", "d"), MUST_BOTH.format("d/f", "d")),
    ("d/f", "d/sub", DONE, MUST_BOTH.format("d/f", "d/sub"), MUST_BOTH.format("d/f", "d/sub")),
    ("d", "d/x", NO, BELOW.format("d/x"), BELOW.format("d/x")),
    ("d", "d/sub", NO, BELOW.format("d/sub"), BELOW.format("d/sub")),
    ("d", "d/sub/x", NO, BELOW.format("d/sub/x"), BELOW.format("d/sub/x")),
    ("f", "no/x", NO, NO_PARENT.format("no/x"), NO_PARENT.format("no/x")),
    ("f/x", "new", UNDER_FILE, UNDER_FILE, UNDER_FILE),
    ("g", "f/x", INTO_FILE, INTO_FILE, INTO_FILE),
    ("none", "f/x", INTO_FILE, INTO_FILE, INTO_FILE),
    ("none", "new", NO, NO_SOURCE.format("none"), NO_SOURCE.format("none")),
    ("none", "none", NO, NO_SOURCE.format("none"), NO_SOURCE.format("none")),
    ("/", "new", NO, FROM_ROOT, FROM_ROOT),
    ("/", "/", NO, FROM_ROOT, FROM_ROOT),
    ("f", ".", *3 * [BAD_NAME.format("~/.")]),
    ("f", "d/../x", *3 * [BAD_NAME.format("~/d/../x")]),
    ("f", "d//x", *3 * [BAD_NAME.format("~/d//x")]),
    ("f", "//new", *3 * [BAD_NAME.format("//new")]),
    ("none", "a:b", *3 * [BAD_NAME.format("~/a:b")]),
    ("f", ".snapshot", *3 * [RESERVED]),
    ("d", ".snapshot/x", NO, NO_PARENT.format(".snapshot/x"), NO_PARENT.format(".snapshot/x")),
    ("f", "x" * 8000, *3 * ["IOException: rename: Pathname too long.  Limit 8000 characters, 1000 levels."]),
)


@pytest.mark.parametrize(("source", "target", "old", "new", "over"), MOVES, ids=lambda value: value[:24])
def test_a_move(world: World, source: str, target: str, old: str, new: str, over: str) -> None:
    for kind, expected in (("old", old), ("new", new), ("over", over)):
        before = plant(world.root)
        answer = moved(world.root, kind, source, target)
        assert (kind, answer) == (kind, expected)
        after = listed(world.root)
        gone, place = source.rstrip("/"), target.rstrip("/")
        if kind == "old" and f"{place}/" in before:
            place = f"{place}/{gone.rpartition('/')[2]}"
        if answer != DONE or place == gone:
            assert after == before
        else:
            assert not {gone, f"{gone}/"} & after
            assert {place, f"{place}/"} & after
            assert len(after) == len(before - {place, f"{place}/"})


def plant(session: Session) -> set[str]:
    """Makes the folder anew with what a move may meet."""
    session.delete("", recursive=True)
    for name in TREE:
        if name.endswith("/"):
            session.mkdirs(name.rstrip("/"))
        else:
            session.touch(name)
    return listed(session)


def listed(session: Session, folder: str = "") -> set[str]:
    """Everything below the folder; directories with a slash."""
    found: set[str] = set()
    page = session.call("getListing", src=session.at(folder), startAfter=b"", needLocation=False).dirList
    for entry in page.partialListing:
        name = f"{folder}/{entry.path.decode()}".lstrip("/")
        found |= {f"{name}/", *listed(session, name)} if entry.fileType == entry.IS_DIR else {name}
    return found


def moved(session: Session, kind: str, source: str, target: str) -> str:
    """The answer of one move in words."""
    src, dst = (path if path.startswith("/") else f"{session.folder}/{path}" for path in (source, target))
    try:
        if kind == "old":
            return DONE if session.call("rename", src=src, dst=dst).result else NO
        session.call("rename2", src=src, dst=dst, overwriteDest=kind == "over")
    except Refused as error:
        return f"{error.class_name.rpartition('.')[2]}: {plain(error.text, session.folder)}"
    return DONE
