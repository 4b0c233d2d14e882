"""`seamlessfs storagepolicies`: which placement and storage policies there are, and which one a path has.

Exit codes, as `hdfs storagepolicies` has them: 0 done; 1 not understood; 2 refused or failed.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from typing import Any

from seamlessfs.cli.admin.call import AdminCall, run_tool
from seamlessfs.cli.generic import EXPLANATION
from seamlessfs.model.errors import AccessDenied, FileNotFound, SafeMode, SeamlessError
from seamlessfs.wire.pb.hadoop.hdfs_pb2 import BlockStoragePolicyProto, StorageTypeProto

EXAMPLE = """Example:
  seamlessfs storagepolicies -setStoragePolicy -path /logs -policy IDC_LOCAL_2"""

NOT_UNDERSTOOD = 1
REFUSED = 2
UNWRAPPED = (
    (FileNotFound, "FileNotFoundException"),
    (AccessDenied, "AccessControlException"),
    (SafeMode, "SafeModeException"),
)
"""Errors that Hadoop's client tells apart; all others are its RemoteException."""


def run(words: Sequence[str]) -> int:
    return run_tool(words, _run)


def _list(call: AdminCall, given: dict[str, str]) -> int:
    policies = call.namenode.fetch_policies()
    if call.json:
        call.print_json([_dict(policy) for policy in policies])
        return 0
    print("Block Storage Policies:")
    for policy in policies:
        print(f"\t{_text(policy)}")
    return 0


def _set(call: AdminCall, given: dict[str, str]) -> int:
    call.client.namenode.set_storage_policy(given["-path"], given["-policy"])
    print(f"Set storage policy {given['-policy']} on {given['-path']}")
    return 0


def _get(call: AdminCall, given: dict[str, str]) -> int:
    path = given["-path"]
    status = call.client.namenode.get_file_info(path)
    if status is None:
        print(f"File/Directory does not exist: {path}", file=sys.stderr)
        return REFUSED
    found = [policy for policy in call.namenode.fetch_policies() if policy.policyId == status.policy_id]
    if call.json:
        call.print_json({"path": path, "policy": _dict(found[0]) if found else None})
    elif not status.policy_id:
        print(f"The storage policy of {path} is unspecified")
    elif found:
        print(f"The storage policy of {path}:\n{_text(found[0])}")
    else:
        print(f"Cannot identify the storage policy for {path}", file=sys.stderr)
        return REFUSED
    return 0


def _unset(call: AdminCall, given: dict[str, str]) -> int:
    call.client.namenode.unset_storage_policy(given["-path"])
    print(f"Unset storage policy from {given['-path']}")
    return 0


def _satisfy(call: AdminCall, given: dict[str, str]) -> int:
    call.namenode.satisfy_storage_policy(given["-path"])
    print(f"Scheduled blocks to move based on the current storage policy on {given['-path']}")
    return 0


COMMANDS: dict[str, tuple[Callable[[AdminCall, dict[str, str]], int], tuple[str, ...], str]] = {
    "-listPolicies": (_list, (), "Every policy: HDFS's own, and those that say in which IDCs replicas are."),
    "-setStoragePolicy": (_set, ("-path", "-policy"), "Gives a policy to a file or directory."),
    "-getStoragePolicy": (_get, ("-path",), "The policy that counts for a file or directory."),
    "-unsetStoragePolicy": (_unset, ("-path",), "Takes it back: that of the nearest directory above counts."),
    "-satisfyStoragePolicy": (_satisfy, ("-path",), "Moves what is there to where the policy wants it."),
}
"""What each does, the options that it needs, and what it is for."""

PATH_WANTED = {
    "-setStoragePolicy": "the path for setting the storage policy",
    "-getStoragePolicy": "the path with -path",
    "-unsetStoragePolicy": "the path from which the storage policy will be unset",
    "-satisfyStoragePolicy": "the path for setting the storage policy",
}


def _run(call: AdminCall) -> int:
    name, *arguments = call.words or ("-help",)
    if name in ("-help", "--help", "-h"):
        return _help(arguments)
    if name not in COMMANDS:
        print(f"Can't understand command '{name}'", file=sys.stderr)
        print(_overview(), file=sys.stderr)
        return NOT_UNDERSTOOD
    act, needed, _ = COMMANDS[name]
    given = dict(zip(arguments[::2], arguments[1::2], strict=False))
    for option in needed:
        if option not in given:
            what = "the policy name" if option == "-policy" else PATH_WANTED[name]
            print(f"Please specify {what}.\nUsage: [{_usage(name)}]", file=sys.stderr)
            return NOT_UNDERSTOOD
    try:
        return act(call, given)
    except SeamlessError as error:
        word = next((word for kind, word in UNWRAPPED if isinstance(error, kind)), "RemoteException")
        print(f"{word}: {str(error).partition(chr(10))[0]}", file=sys.stderr)
        return REFUSED


def offered(words: Sequence[str]) -> Sequence[str]:
    """Words that can follow these, for completion: commands, then the options that one needs."""
    if not words or words[0] == "-help":
        return (*COMMANDS, *(() if words else ("-help",)))
    return tuple(option for option in COMMANDS.get(words[0], (None, ()))[1] if option not in words)


def _usage(name: str) -> str:
    return " ".join((name, *(f"{option} <{option[1:]}>" for option in COMMANDS[name][1])))


def _overview() -> str:
    lines = "\n".join(f"          [{_usage(name)}]" for name in COMMANDS)
    return f"Usage: seamlessfs storagepolicies [generic options] COMMAND\n{lines}\n          [-help <command-name>]"


def _help(names: Sequence[str]) -> int:
    chosen = [f"-{name.removeprefix('-')}" for name in names] or list(COMMANDS)
    for name in chosen:
        if name not in COMMANDS:
            known = ", ".join(command[1:] for command in COMMANDS)
            print(f"Unknown command '{name[1:]}'.\nValid help command names are:\n{known}", file=sys.stderr)
            return NOT_UNDERSTOOD
        print(f"[{_usage(name)}]\n\n{COMMANDS[name][2]}\n")
    if not names:
        print(
            f"{EXPLANATION}\n\nExample:\n  seamlessfs storagepolicies -setStoragePolicy -path /logs -policy IDC_LOCAL_2"
        )
    return 0


def _types(policy: BlockStoragePolicyProto) -> dict[str, list[str]]:
    return {
        "storageTypes": [StorageTypeProto.Name(kind) for kind in policy.creationPolicy.storageTypes],
        "creationFallbacks": [StorageTypeProto.Name(kind) for kind in policy.creationFallbackPolicy.storageTypes],
        "replicationFallbacks": [StorageTypeProto.Name(kind) for kind in policy.replicationFallbackPolicy.storageTypes],
    }


def _text(policy: BlockStoragePolicyProto) -> str:
    types = ", ".join(f"{key}=[{', '.join(names)}]" for key, names in _types(policy).items())
    return f"BlockStoragePolicy{{{policy.name}:{policy.policyId}, {types}}}"


def _dict(policy: BlockStoragePolicyProto) -> dict[str, Any]:
    return {"name": policy.name, "id": policy.policyId, **_types(policy)}
