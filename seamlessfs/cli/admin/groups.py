"""`seamlessfs groups [user ...]`: in which groups the namenode has users."""

from __future__ import annotations

from collections.abc import Sequence

from seamlessfs.cli.admin.call import AdminCall, run_tool
from seamlessfs.cli.generic import EXPLANATION

HELP = f"""Usage: seamlessfs groups [generic options] [user ...]

Prints the groups of users, as the namenode knows them; without names those of the caller.

{EXPLANATION}"""


def run(words: Sequence[str]) -> int:
    return run_tool(words, _run)


def _run(call: AdminCall) -> int:
    if set(call.words) & {"-help", "--help", "-h"}:
        print(HELP)
        return 0
    found = {user: call.namenode.fetch_groups(user) for user in call.words or (call.user,)}
    if call.json:
        call.print_json(found)
        return 0
    for user, groups in found.items():
        print(" ".join((user, ":", *groups)))
    return 0
