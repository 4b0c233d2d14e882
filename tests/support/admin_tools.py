"""The tools of HDFS's administrators, and what of their output differs from one run to the next."""

from __future__ import annotations

import re
from types import MappingProxyType

_PACKAGE = "org.apache.hadoop.hdfs.tools."
TOOLS = MappingProxyType(
    {
        "dfsadmin": f"{_PACKAGE}DFSAdmin",
        "fsck": f"{_PACKAGE}DFSck",
        "storagepolicies": f"{_PACKAGE}StoragePolicyAdmin",
        "groups": f"{_PACKAGE}GetGroups",
        "getconf": f"{_PACKAGE}GetConf",
        "debug": f"{_PACKAGE}DebugAdmin",
    }
)
"""Class of each by the name that `hdfs` has for it."""

_VARYING = (
    (r"[A-Z][a-z]{2} [A-Z][a-z]{2} +\d+ \d\d:\d\d:\d\d \w+ \d{4}", "<date>"),
    (r"in \d+ milliseconds", "in <n> milliseconds"),
    (r"(\n\tat .*)+\n", ""),
    (r"(?m)^((?:Configured|Present) Capacity|(?:Non )?DFS (?:Used|Remaining)%?): .*$", r"\1: <size>"),
    (r"Capacity (Used|Left): ?\d+\([^)]*\)", r"Capacity \1: <size>"),
    (r"Uptime: \d+", "Uptime: <n>"),
    (r"Xceivers: \d+", "Xceivers: <n>"),
)


def steady(text: str) -> str:
    """The text without times, free space, counts of connections and Java's stack lines."""
    for pattern, replacement in _VARYING:
        text = re.sub(pattern, replacement, text)
    return text


def anonymous(text: str) -> str:
    """The steady text without what names the cluster that it came from."""
    text = re.sub(r"BP-[\w.-]+", "<pool>", steady(text))
    return re.sub(r"127\.\d+\.\d+\.\d+:\d+", "<address>", text)
