"""`seamlessfs health`: the namenode's queues, and the oldest of what should not wait for long."""

from __future__ import annotations

import json
from collections.abc import Sequence

from google.protobuf.json_format import MessageToDict

from seamlessfs.cli.dfs.text import columns
from seamlessfs.cli.main import parser
from seamlessfs.client.client import Client
from seamlessfs.client.options import ClientOptions, make_options
from seamlessfs.client.placement import fetch_health
from seamlessfs.wire.pb.seamless import placement_pb2 as pb

STUCK = 3
"""Exit code when something is stuck."""


def run(words: Sequence[str]) -> int:
    """Prints one line a queue, then one for the oldest of each kind; exits with 3 when one is stuck."""
    arguments = parser(
        words,
        "Shows what the namenode has waiting, and what has waited for too long; ends with 3 if something is stuck.",
        "seamlessfs health -fs hdfs://127.0.0.1:8020",
        "seamlessfs health --json || echo look at it",
    )
    arguments.add_argument("-fs", metavar="URL", help="cluster (default: fs.defaultFS of HADOOP_CONF_DIR)")
    arguments.add_argument("-conf", metavar="DIR", help="Hadoop configuration directory")
    arguments.add_argument("--json", action="store_true", help="one JSON object")
    chosen = arguments.parse_args(words[1:])
    settings = {} if chosen.conf is None else {"hadoop_conf_dir": chosen.conf}
    options = ClientOptions.from_url(chosen.fs, **settings) if chosen.fs else make_options(**settings)
    with Client(options) as client:
        health = fetch_health(client)
    if chosen.json:
        shown = MessageToDict(health, preserving_proto_field_name=True, always_print_fields_with_no_presence=True)
        print(json.dumps(shown))
    else:
        print("\n".join(describe(health)))
    return STUCK if any(map(is_stuck, health.oldest)) else 0


def is_stuck(oldest: pb.OldestProto) -> bool:
    return oldest.age_ms > oldest.limit_ms


def describe(health: pb.GetHealthResponseProto) -> list[str]:
    """The lines of the table."""
    lines = [f"safe mode: {health.safe_mode_reason.splitlines()[0]}" if health.safe_mode else "safe mode: off"]
    queues = [(queue.name, str(queue.length), str(queue.bound or "-")) for queue in health.queues]
    lines += ["", *columns([("queue", "waiting", "bound"), *queues], "<>>")]
    oldest = [
        (each.kind, f"{each.age_ms / 1000:.1f} s", "STUCK" if is_stuck(each) else "", f"{each.what}  {each.detail}")
        for each in health.oldest
    ]
    if oldest:
        lines += ["", *columns([("oldest", "age", "", "which"), *oldest], "<><-")]
    return lines
