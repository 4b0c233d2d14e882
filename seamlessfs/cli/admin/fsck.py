"""`seamlessfs fsck`: checks the files below a path, by the web port of the namenode, as `hdfs fsck` does.

Exit codes, as there: 0 healthy, or there is nothing; 1 corrupt; 2 and 3 a block's datanode is leaving; 255 failed.
"""

from __future__ import annotations

import http.client
import os
import sys
from collections.abc import Iterator, Sequence
from urllib.parse import quote_plus, urlencode

from seamlessfs.cli.admin.call import FAILED, AdminCall, run_tool
from seamlessfs.cli.generic import EXPLANATION
from seamlessfs.config.hadoop import parse_address
from seamlessfs.model.errors import FileNotFound, NamenodeUnreachable, SeamlessError

WEB_PORT = 9870
TIMEOUT_S = 600.0
"""Longest silence: a check of a very large tree without damage says little."""

FLAGS = {
    "-move": ("move", "save what can be read of damaged files to /lost+found"),
    "-delete": ("delete", "delete damaged files"),
    "-files": ("files", "name every file"),
    "-blocks": ("blocks", "with -files: every block"),
    "-locations": ("locations", "with -blocks: where its replicas are"),
    "-racks": ("racks", "with -blocks: in which IDCs and racks"),
    "-replicaDetails": ("replicadetails", "with -blocks: how each replica is"),
    "-upgradedomains": ("upgradedomains", "with -blocks: upgrade domains"),
    "-openforwrite": ("openforwrite", "look at files that are being written, too"),
    "-includeSnapshots": ("includeSnapshots", "look at snapshots, too"),
    "-storagepolicies": ("storagepolicies", "sum up storage policies and types"),
    "-maintenance": ("maintenance", "count replicas in maintenance apart"),
    "-showprogress": ("showprogress", "without effect: progress is always shown"),
    "-replicate": ("replicate", "have misplaced replicas looked at again"),
}
LIST = "-list-corruptfileblocks"
BLOCK = "-blockId"

LAST_WORDS = (
    ("is HEALTHY", 0),
    ("is CORRUPT", 1),
    ("does not exist", 0),
    ("is DECOMMISSIONED", 2),
    ("is DECOMMISSIONING", 3),
    ("is IN MAINTENANCE", 4),
    ("is ENTERING MAINTENANCE", 5),
)
"""How the last line of a check ends, and what the exit code is then."""

EXAMPLES = """Examples:
  seamlessfs fsck /data -files -blocks -racks
  seamlessfs fsck / --json | jq .missing_blocks
  seamlessfs fsck -blockId blk_1073741825"""


def run(words: Sequence[str]) -> int:
    return run_tool(words, _run)


def _run(call: AdminCall) -> int:
    words = list(call.words)
    if not words:
        print(_usage(), file=sys.stderr)
        return FAILED
    if set(words) & {"-help", "--help", "-h"}:
        print(f"{_usage()}\n\n{EXPLANATION}\n\n{EXAMPLES}")
        return 0
    asked: list[tuple[str, str]] = []
    path: str | None = None
    while words:
        word = words.pop(0)
        if word in FLAGS:
            asked.append((FLAGS[word][0], "1"))
        elif word == LIST:
            asked.append(("listcorruptfileblocks", "1"))
        elif word == BLOCK:
            ids = []
            while words and not words[0].startswith("-"):
                ids.append(words.pop(0))
            asked.append(("blockId", "".join(f"{one} " for one in ids)))
        elif word.startswith("-"):
            return _not_understood(f"Illegal option '{word}'")
        elif path is not None:
            return _not_understood(f"can only operate on one path at a time '{word}'")
        else:
            path = word
    return _ask(call, path or "/", asked)


def offered(words: Sequence[str]) -> Sequence[str]:
    """Options that can follow these words, for completion."""
    return tuple(option for option in (*FLAGS, LIST, BLOCK, "-help") if option not in words)


def _ask(call: AdminCall, path: str, asked: list[tuple[str, str]]) -> int:
    absolute = path if path.startswith("/") else f"/user/{call.user}/{path}".rstrip("/")
    try:
        if call.client.namenode.get_file_info(absolute) is None:
            shown = absolute if path.startswith("/") else f"hdfs://{call.authority}{absolute}"
            raise FileNotFound(f"java.io.FileNotFoundException: File does not exist: {shown}")
    except SeamlessError as error:
        print(f"FileSystem is inaccessible due to:\n{error}\nDFSck exiting.", file=sys.stderr)
        return 0
    json = [("json", "1")] if call.json else []
    query = urlencode([("ugi", call.user), *asked, *json, ("path", absolute)], quote_via=quote_plus)
    host, port = _web_address(call)
    page = f"/fsck?{query}"
    print(f"Connecting to namenode via http://{host}:{port}{page}", file=sys.stderr)
    if any(name == "listcorruptfileblocks" for name, _ in asked):
        return _list_corrupt(path, (host, port), page)
    last = ""
    for line in _lines((host, port), page):
        print(line)
        last = line
    if call.json:
        return 0 if '"status": "HEALTHY"' in last else 1 if '"status": "CORRUPT"' in last else FAILED
    if "Incorrect blockId format:" in last:
        return 0
    return next((code for words, code in LAST_WORDS if last.endswith(words)), FAILED)


def _list_corrupt(path: str, address: tuple[str, int], page: str) -> int:
    """The list comes in pages; the last one says that there is no more."""
    count = place = 0
    while True:
        more = False
        for line in _lines(address, page + (f"&startblockafter={place}" if place else "")):
            if line.startswith("Cookie:"):
                place = int(line.split("\t")[1])
            elif line.startswith("Access denied for user"):
                print(f"Failed to open path '{path}': Permission denied")
                return FAILED
            elif line.startswith("blk_"):
                if not count:
                    print(f"The list of corrupt files under path '{path}' are:")
                print(line)
                count, more = count + 1, True
        if not more:
            break
    print(f"The filesystem under path '{path}' has {count} CORRUPT files")
    return FAILED if count else 0


def _lines(address: tuple[str, int], page: str) -> Iterator[str]:
    """Lines of the answer, as they come.

    Raises:
        NamenodeUnreachable: nobody answers there, or something else than a check.
    """
    where = f"http://{address[0]}:{address[1]}"
    connection = http.client.HTTPConnection(*address, timeout=TIMEOUT_S)
    try:
        connection.request("GET", page)
        answer = connection.getresponse()
        if answer.status != http.client.OK:
            text = answer.read(1000).decode(errors="replace").strip()
            raise NamenodeUnreachable(f"{where} answers {answer.status}: {text}")
        for line in answer:
            yield line.decode(errors="replace").rstrip("\r\n")
    except (OSError, http.client.HTTPException) as error:
        raise NamenodeUnreachable(
            f"the web port {where} cannot be read ({error}); set dfs.namenode.http-address if it is another one"
        ) from error
    finally:
        connection.close()


def _web_address(call: AdminCall) -> tuple[str, int]:
    """`dfs.namenode.http-address`; its host, where it is any address, is that of the client port."""
    host = call.options.addresses[0][0]
    text = call.generic.configuration(os.environ).get("dfs.namenode.http-address")
    if text is None:
        return host, WEB_PORT
    named, port = parse_address(text, "dfs.namenode.http-address", WEB_PORT)
    return (host if named in ("0.0.0.0", "::") else named), port  # noqa: S104 - it is compared, nothing listens there


def _not_understood(what: str) -> int:
    print(f"fsck: {what}\n{_usage()}", file=sys.stderr)
    return FAILED


def _usage() -> str:
    width = max(map(len, FLAGS))
    rows = "\n".join(f"  {flag:<{width}}  {what}" for flag, (_, what) in FLAGS.items())
    head = f"Usage: seamlessfs fsck [generic options] <path> [{LIST} | options] [{BLOCK} <blk_id> ...]"
    return f"{head}\n\nFiles that are being written are only counted, unless -openforwrite is given.\n\n{rows}"
