"""`seamlessfs explain PATH|BLOCK`: why each replica is where it is, what is owed, and what happens next."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType

from google.protobuf.json_format import MessageToDict

from seamlessfs.cli.dfs.text import columns, human
from seamlessfs.cli.main import parser
from seamlessfs.client.client import Client
from seamlessfs.client.options import ClientOptions, make_options
from seamlessfs.client.placement import fetch_explanation
from seamlessfs.wire.pb.seamless import placement_pb2 as pb

_BLOCK = re.compile(r"(?:blk_)?(\d+)(?:_\d+)?(?:\.meta)?")


def run(words: Sequence[str]) -> int:
    """Prints a paragraph a block."""
    arguments = parser(words, "Explains a file's blocks, or one block: where each replica is and why, what is owed.")
    arguments.add_argument("-fs", metavar="URL", help="cluster (default: fs.defaultFS of HADOOP_CONF_DIR)")
    arguments.add_argument("-conf", metavar="DIR", help="Hadoop configuration directory")
    arguments.add_argument("--json", action="store_true", help="one JSON object")
    arguments.add_argument("what", metavar="PATH|BLOCK", help="an absolute path, or a block as blk_123 or 123")
    chosen = arguments.parse_args(words[1:])
    settings = {} if chosen.conf is None else {"hadoop_conf_dir": chosen.conf}
    options = ClientOptions.from_url(chosen.fs, **settings) if chosen.fs else make_options(**settings)
    block = _BLOCK.fullmatch(chosen.what)
    with Client(options) as client:
        if block is not None:
            found = fetch_explanation(client, block_id=int(block[1]))
        else:
            found = fetch_explanation(client, chosen.what)
    if chosen.json:
        shown = MessageToDict(found, preserving_proto_field_name=True, always_print_fields_with_no_presence=True)
        print(json.dumps(shown))
    else:
        print("\n".join(describe(found)))
    return 0


def describe(found: pb.ExplainResponseProto) -> list[str]:
    """The lines of the answer."""
    if not found.blocks:
        return [f"{found.path}: no blocks"]
    lines = [f"{found.path}: policy {found.policy} ({found.write_mode})"]
    for block in found.blocks:
        lines += ["", *_block(found, block)]
    return lines


def _block(found: pb.ExplainResponseProto, block: pb.BlockExplanationProto) -> list[str]:
    lines = [f"blk_{block.block_id}_{block.generation_stamp}  {human(block.length)}  {_judgement(block)}"]
    shared = [one.replica.location for one in block.replicas]
    rows: list[tuple[str, ...]] = [
        (
            one.replica.location,
            one.replica.address,
            one.standing + (f" ({one.detail})" if one.detail else ""),
            _why(found, one, shared.count(one.replica.location)),
        )
        for one in block.replicas
    ]
    lines += [f"  {line}" for line in columns(rows, "<<<-")]
    lines += [f"  owed: {_copies(owed.replicas)} over {_link(owed.source, owed.target)}" for owed in block.owed]
    return lines + [f"  next: {_NEXT[step.step](step)}" for step in block.next if step.step in _NEXT]


def _judgement(block: pb.BlockExplanationProto) -> str:
    if block.state == "UNDER_CONSTRUCTION":
        return "being written"
    return "as wanted" if block.satisfied else ", ".join(block.reasons)


def _why(found: pb.ExplainResponseProto, one: pb.ReplicaStandingProto, on_rack: int) -> str:
    idc = one.replica.location.strip("/").partition("/")[0]
    chosen_by_writer = found.home == "writer"
    reason = {
        "home": f"{idc} is the home IDC: " + ("its writer was there" if chosen_by_writer else "the policy names it"),
        "peer": f"{idc} is the peer IDC: "
        + ("it was the best other one at the time" if found.peer == "auto" else "the policy names it"),
        "any": f"the policy wants {found.replication} replicas, in any IDC",
        "unwanted": f"the policy wants none in {idc}: it goes when those that are wanted are there",
    }[one.place]
    if on_rack > 1:
        reason += f"; {on_rack} on this rack"
    return reason if one.datanode_state == "live" else f"{reason}; its datanode is {one.datanode_state}"


def _copies(count: int) -> str:
    return "1 replica" if count == 1 else f"{count} replicas"


def _link(source: str, target: str) -> str:
    return f"{source}>{target}" if source != target else f"{target} itself"


def _over(step: pb.NextStepProto) -> str:
    return f"{_copies(step.replicas)} over {_link(step.source, step.target)}"


def _seconds(milliseconds: int) -> str:
    return f"{milliseconds / 1000:.1f} s"


_NEXT: Mapping[str, Callable[[pb.NextStepProto], str]] = MappingProxyType(
    {
        "nothing": lambda step: "nothing: all is as the policy wants it",
        "writer": lambda step: "its writer finishes it, or a recovery does when the lease has run out",
        "settling": lambda step: "nothing yet: the namenode has started lately, and waits for reports first",
        "look": lambda step: "it has changed, and is looked at again with the next round",
        "copy": lambda step: (
            f"{step.from_address} is copying to {', '.join(step.to_addresses)} over "
            f"{_link(step.source, step.target)} for {_seconds(step.for_ms)}"
        ),
        "report": lambda step: f"{_over(step)}: made, the report of the datanode is awaited",
        "turn": lambda step: f"{_over(step)}: wait for their turn, {step.ahead} blocks wait for this link",
        "retry": lambda step: f"{_over(step)}: failed before, tried again in {_seconds(step.in_ms)}",
        "room": lambda step: (
            f"{_over(step)}: no datanode could take or give it, tried again in {_seconds(step.in_ms)} or when one comes"
        ),
        "idc": lambda step: f"{_over(step)}: wait until a datanode of {step.target} takes replicas again",
        "no_peer": lambda step: f"{_copies(step.replicas)}: owed until there is a second IDC",
        "replica": lambda step: "no datanode that is heard of has it: one that has it must come back",
        "delete": lambda step: f"{_copies(step.replicas)} too many: deleted with the next round",
    }
)
