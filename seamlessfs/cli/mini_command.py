"""`seamlessfs mini`: a cluster in the foreground, until Ctrl-C."""

from __future__ import annotations

import signal
import tempfile
import threading
from collections.abc import Sequence
from pathlib import Path

from seamlessfs.cli.main import parser
from seamlessfs.cli.mini import MiniCluster, MiniClusterFailed


def run(words: Sequence[str]) -> int:
    """Starts the cluster, says how to use it, and stops it on SIGINT or SIGTERM."""
    arguments = parser(
        words,
        "A namenode and datanodes in several IDCs on this machine, as real processes, until Ctrl-C.",
        "seamlessfs mini                                 2 IDCs x 2 racks x 2 datanodes, gone afterwards",
        "seamlessfs mini --idcs 3 --dir ~/cluster        comes back with its data",
    )
    arguments.add_argument("--idcs", type=int, default=2, metavar="N", help="IDCs (2)")
    arguments.add_argument("--racks", type=int, default=2, metavar="R", help="racks in each IDC (2)")
    arguments.add_argument("--datanodes", type=int, default=2, metavar="D", help="datanodes in each rack (2)")
    arguments.add_argument("--dir", type=Path, help="keep everything here and come back with it; else it is temporary")
    arguments.add_argument("--port", type=int, default=8020, help="client port on 127.0.0.1 (8020; 0: any free one)")
    chosen = arguments.parse_args(words[1:])
    if chosen.dir is not None:
        return _serve(chosen.dir, chosen)
    with tempfile.TemporaryDirectory(prefix="seamlessfs-mini-") as folder:
        return _serve(Path(folder), chosen)


def _serve(folder: Path, chosen: object) -> int:
    stop = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):  # a shell's background job starts with SIGINT ignored
        signal.signal(number, signal.default_int_handler)
    cluster = MiniCluster(
        folder,
        idcs=getattr(chosen, "idcs", 2),
        racks=getattr(chosen, "racks", 2),
        datanodes_per_rack=getattr(chosen, "datanodes", 2),
        rpc_port=getattr(chosen, "port", 0),
    )
    with cluster:
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, lambda *_: stop.set())
        print(next_steps(cluster), flush=True)
        reported: set[str] = set()
        while not stop.wait(0.5):
            for daemon in cluster.dead():
                if daemon is cluster.namenode:
                    raise MiniClusterFailed(f"the namenode ended; {daemon.log} says:\n{daemon.last_lines()}")
                if daemon.name not in reported:
                    reported.add(daemon.name)
                    print(f"{daemon.name} ended; its log is {daemon.log}", flush=True)
    return 0


def next_steps(cluster: MiniCluster) -> str:
    """What a person types next against this cluster."""
    address = cluster.namenode_address
    places = ", ".join(f"{idc} (clients bind {cluster.client_address(idc)})" for idc in cluster.idc_names)
    return (
        f"{len(cluster.datanodes)} datanodes in IDCs {places}\n"
        f"  seamlessfs dfs -fs hdfs://{address} -ls /\n"
        f"  seamlessfs where -fs hdfs://{address} /\n"
        f"  hadoop fs -fs hdfs://{address} -ls /\n"
        f"  python -c 'import fsspec; print(fsspec.open_files(\"seamless://{address}/**\"))'\n"
        f"  curl {cluster.http_url}/healthz\n"
        f"logs and data: {cluster.folder}"
    )
