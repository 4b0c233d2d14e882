"""`seamlessfs dfsadmin`: commands about the cluster and its datanodes.

Exit codes, as `hdfs dfsadmin` has them: 0 done; 255 refused, failed or not understood; 1 for a
block report that a datanode refuses. A safe mode action that does not exist prints the usage and ends with 0, as there.
"""

from __future__ import annotations

import re
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from seamlessfs.cli.admin import datanodes, report
from seamlessfs.cli.admin.call import FAILED, AdminCall, Usage, run_tool
from seamlessfs.model.errors import SeamlessError

SAFE_MODE_ACTIONS = {
    "enter": "SAFEMODE_ENTER",
    "leave": "SAFEMODE_LEAVE",
    "get": "SAFEMODE_GET",
    "wait": "SAFEMODE_GET",
    "forceexit": "SAFEMODE_FORCE_EXIT",
}
WAIT_INTERVAL_S = 1.0


def _report(call: AdminCall) -> int:
    if call.json:
        call.print_json(report.report_dict(call.namenode))
        return 0
    for line in report.report(call.namenode, call.arguments):
        print(line)
    return 0


def _safe_mode(call: AdminCall) -> int:
    word = call.arguments[0].lower()
    if word not in SAFE_MODE_ACTIONS:
        call.print_usage()
        return 0
    on = call.namenode.set_safe_mode(SAFE_MODE_ACTIONS[word])
    while on and word == "wait":
        time.sleep(WAIT_INTERVAL_S)
        on = call.namenode.set_safe_mode("SAFEMODE_GET")
    if call.json:
        call.print_json({"safe_mode": on})
    else:
        print(f"Safe mode is {'ON' if on else 'OFF'}")
    return 0


def _refresh_nodes(call: AdminCall) -> int:
    call.namenode.refresh_nodes()
    print("Refresh nodes successful")
    return 0


def _print_topology(call: AdminCall) -> int:
    infos = call.namenode.fetch_datanodes()
    if call.json:
        call.print_json(report.racks(infos))
        return 0
    for line in report.topology(infos):
        print(line)
    return 0


def _metasave(call: AdminCall) -> int:
    call.namenode.meta_save(call.arguments[0])
    print(f"Created metasave file {call.arguments[0]} in the log directory of namenode hdfs://{call.authority}")
    return 0


def _list_open_files(call: AdminCall) -> int:
    words = list(call.arguments)
    below = ""
    if "-path" in words:
        place = words.index("-path")
        if place + 1 == len(words):
            raise Usage
        below = words[place + 1].strip()
    found = call.namenode.iterate_open_files(blocking="-blockingDecommission" in words, below=below)
    if call.json:
        call.print_json(
            [{"client_machine": f.clientMachine, "client_name": f.clientName, "path": f.path} for f in found]
        )
        return 0
    print(f"{'Client Host':<20}\t{'Client Name':<20}\tOpen File Path")
    try:
        for file in found:
            print(f"{file.clientMachine:<20}\t{file.clientName:<20}\t{file.path:>20}")
    except SeamlessError:
        print("List open files failed.")
        raise
    return 0


def _save_namespace(call: AdminCall) -> int:
    call.namenode.save_namespace()
    print("Save namespace successful")
    return 0


def _roll_edits(call: AdminCall) -> int:
    txid = call.namenode.roll_edits()
    print(f"Successfully rolled edit logs.\nNew segment starts at txid {txid}")
    return 0


def _refresh_groups(call: AdminCall) -> int:
    call.namenode.refresh_user_mappings("refreshUserToGroupsMappings")
    print("Refresh user to groups mapping successful")
    return 0


def _refresh_proxies(call: AdminCall) -> int:
    call.namenode.refresh_user_mappings("refreshSuperUserGroupsConfiguration")
    print("Refresh super user groups configuration successful")
    return 0


@dataclass(frozen=True)
class Command:
    """A command: what it does, how it is called, what it is for, and how many arguments it takes."""

    run: Callable[[AdminCall], int]
    usage: str
    help: str
    least: int = 0
    most: int = 0


COMMANDS = {
    "-report": Command(
        _report,
        "-report [-live] [-dead] [-decommissioning] [-enteringmaintenance] [-inmaintenance] [-slownodes]",
        "Space, blocks that need care, and every datanode, or those of some kinds.",
        most=6,
    ),
    "-safemode": Command(
        _safe_mode,
        "-safemode enter | leave | get | wait | forceExit",
        "Has the namespace stand still, or move again; `wait` returns when it moves.",
        least=1,
        most=1,
    ),
    "-refreshNodes": Command(
        _refresh_nodes,
        "-refreshNodes",
        "The namenode reads the topology, the include and the exclude file again: datanodes move, leave, come back.",
    ),
    "-printTopology": Command(_print_topology, "-printTopology", "The racks, with the datanodes in each."),
    "-getDatanodeInfo": Command(
        datanodes.info,
        "-getDatanodeInfo <datanode_host:ipc_port>",
        "Whether a datanode is alive, and its version.",
        1,
        1,
    ),
    "-getVolumeReport": Command(
        datanodes.volumes, "-getVolumeReport datanode-host:ipc_port", "The volumes of a datanode and their space.", 1, 1
    ),
    "-triggerBlockReport": Command(
        datanodes.trigger_report,
        "-triggerBlockReport [-incremental] <datanode_host:ipc_port> [-namenode <namenode_host:ipc_port>]",
        "A datanode reports its blocks now.",
        1,
        4,
    ),
    "-listOpenFiles": Command(
        _list_open_files,
        "-listOpenFiles [-blockingDecommission] [-path <path>]",
        "Files that are being written, and by whom.",
        most=3,
    ),
    "-metasave": Command(
        _metasave, "-metasave filename", "The namenode writes its lists of blocks into a file of its own.", 1, 1
    ),
    "-saveNamespace": Command(
        _save_namespace,
        "-saveNamespace [-beforeShutdown]",
        "In safe mode: brings the store up to the journal.",
        most=1,
    ),
    "-rollEdits": Command(_roll_edits, "-rollEdits", "Begins a new file of the journal."),
    "-refreshUserToGroupsMappings": Command(
        _refresh_groups, "-refreshUserToGroupsMappings", "The namenode asks anew who is in which group."
    ),
    "-refreshSuperUserGroupsConfiguration": Command(
        _refresh_proxies, "-refreshSuperUserGroupsConfiguration", "The namenode reads again who may act for whom."
    ),
    "-setBalancerBandwidth": Command(
        datanodes.set_bandwidth,
        "-setBalancerBandwidth <bandwidth in bytes per second>",
        "Tells every datanode; 10m and the like are understood.",
        1,
        1,
    ),
    "-getBalancerBandwidth": Command(
        datanodes.bandwidth, "-getBalancerBandwidth <datanode_host:ipc_port>", "What a datanode was told of it.", 1, 1
    ),
    "-evictWriters": Command(
        datanodes.evict_writers, "-evictWriters <datanode_host:ipc_port>", "Ends all writes through a datanode.", 1, 1
    ),
    "-shutdownDatanode": Command(
        datanodes.shut_down, "-shutdownDatanode <datanode_host:ipc_port> [upgrade]", "Stops a datanode.", 1, 2
    ),
}

EXAMPLES = """Examples:
  seamlessfs dfsadmin -fs seamless://namenode:8020 -report -live
  seamlessfs dfsadmin -report --json | jq .blocks.missing_blocks
  seamlessfs dfsadmin -safemode wait && run-the-job"""


def run(words: Sequence[str]) -> int:
    """`seamlessfs dfsadmin [generic options] -command ...`."""
    return run_tool(words, _run)


def _run(call: AdminCall) -> int:
    name, *arguments = call.words or ("",)
    if name in ("-help", "--help", "-h"):
        return _help(arguments)
    command = COMMANDS.get(name)
    if command is None:
        if name:
            print(f"{name[1:]}: Unknown command", file=sys.stderr)
        print(_overview(), file=sys.stderr)
        return FAILED
    call.begin(name[1:], arguments, f"Usage: seamlessfs dfsadmin [{command.usage}]")
    if not command.least <= len(arguments) <= command.most:
        call.print_usage()
        return FAILED
    return command.run(call)


def offered(words: Sequence[str]) -> Sequence[str]:
    """Words that can follow these, for completion: commands, then what a command's usage names."""
    if not words:
        return (*COMMANDS, "-help")
    if words[0] == "-help":
        return tuple(COMMANDS)
    command = COMMANDS.get(words[0])
    if command is None or len(words) > command.most:
        return ()
    rest = re.sub(r"<[^>]*>", "", command.usage.removeprefix(words[0]))
    found = re.findall(r"(?<!\w)-\w+|(?<=\| )\w+|\w+(?= \|)|(?<=\[)\w+", rest)
    return tuple(word for word in dict.fromkeys(found) if word not in words)


def _overview() -> str:
    lines = "\n".join(f"\t[{command.usage}]" for command in COMMANDS.values())
    return f"Usage: seamlessfs dfsadmin [generic options]\n{lines}\n\t[-help [cmd]]"


def _help(names: Sequence[str]) -> int:
    chosen = [f"-{name.removeprefix('-')}" for name in names]
    shown = {name: command for name, command in COMMANDS.items() if name in chosen or not chosen}
    for command in shown.values():
        print(f"{command.usage}:\n\t{command.help}\n")
    if not names:
        from seamlessfs.cli.generic import EXPLANATION

        print(f"{EXPLANATION}\n\n{EXAMPLES}")
    return 0
