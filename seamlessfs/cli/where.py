"""`seamlessfs where PATH`: each replica of a file, and what is owed."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence

from google.protobuf.json_format import MessageToDict

from seamlessfs.cli.dfs.item import Item, absolute, expand
from seamlessfs.cli.dfs.text import columns, human
from seamlessfs.cli.main import parser
from seamlessfs.client.client import Client
from seamlessfs.client.options import ClientOptions, make_options
from seamlessfs.client.placement import fetch_placement
from seamlessfs.model.errors import SeamlessError
from seamlessfs.wire.pb.seamless import placement_pb2 as pb


def run(words: Sequence[str]) -> int:
    """Prints one paragraph a file; files below directories too."""
    arguments = parser(
        words,
        "Shows where each replica of files is, whether their policy is satisfied, what is owed.",
        "seamlessfs where -fs hdfs://127.0.0.1:8020 /data/report.csv",
        "seamlessfs where --json '/data/*'",
    )
    arguments.add_argument("-fs", metavar="URL", help="cluster (default: fs.defaultFS of HADOOP_CONF_DIR)")
    arguments.add_argument("-conf", metavar="DIR", help="Hadoop configuration directory")
    arguments.add_argument("-bind", metavar="ADDRESS", help="local address to connect from")
    arguments.add_argument("--json", action="store_true", help="one JSON object a file")
    arguments.add_argument("path", nargs="+")
    chosen = arguments.parse_args(words[1:])
    settings = {"hadoop_conf_dir": chosen.conf, "source_address": chosen.bind}
    settings = {key: value for key, value in settings.items() if value is not None}
    options = ClientOptions.from_url(chosen.fs, **settings) if chosen.fs else make_options(**settings)
    code = 0
    with Client(options) as client:
        for text in chosen.path:
            try:
                for item in expand(client, text):
                    _show(item, chosen.json)
            except SeamlessError as error:
                print(f"where: {error}", file=sys.stderr)
                code = 1
    return code


def _show(item: Item, as_json: bool) -> None:
    if item.present.is_directory:
        for child in item.children():
            _show(child, as_json)
        return
    placement = fetch_placement(item.client, absolute(item.client, item.path))
    if as_json:
        print(json.dumps({"path": item.path, **MessageToDict(placement, preserving_proto_field_name=True)}))
        return
    print("\n".join(describe(item.path, placement)))


def describe(path: str, placement: pb.GetPlacementResponseProto) -> list[str]:
    """The lines that show one file: its policy, then each block with its verdict and its replicas."""
    lines = [f"{path}  {human(placement.length)}  {placement.policy} ({placement.write_mode})"]
    for block in placement.blocks:
        lines.append(f"  blk_{block.block_id}  {human(block.length)}  {_judgement(block)}")
        rows = [(replica.location, replica.address) for replica in block.replicas]
        lines += [f"    {line}" for line in columns(sorted(rows), "<-")]
    return lines


def _judgement(block: pb.BlockPlacementProto) -> str:
    if block.state == "UNDER_CONSTRUCTION":
        return "being written"
    parts = [f"{part.idc or 'no peer IDC'} {part.have}/{part.want}" for part in block.idcs]
    owed = [f"{part.owed} owed to {part.idc or 'a peer IDC that does not exist'}" for part in block.idcs if part.owed]
    verdict = "as wanted" if block.satisfied else ", ".join(owed or block.reasons)
    return f"{', '.join(parts)}: {verdict}"
