"""-getfattr, -setfattr, -getfacl, -setfacl: attributes and access control lists, where the server has them."""

from __future__ import annotations

import base64
import binascii
import re

from seamlessfs.cli.dfs.call import Call
from seamlessfs.cli.dfs.command import Command
from seamlessfs.cli.dfs.item import Item, UsageError
from seamlessfs.client.attributes import (
    AclEntry,
    check_xattr_name,
    fetch_acl,
    fetch_xattrs,
    modify_acl,
    remove_acl,
    remove_acl_entries,
    remove_default_acl,
    remove_xattr,
    set_acl,
    set_xattr,
)
from seamlessfs.model.errors import IllegalArgument, RemoteIOError

HAS_ACL = 1
"""Bit of a status's flags."""

ENCODINGS = ("text", "hex", "base64")
TYPES = ("user", "group", "mask", "other")
ACTIONS = re.compile(r"[r-][w-][x-]")


def get_fattr(call: Call) -> None:
    encoding = call.flags.get("e", "text").lower()
    if encoding not in ENCODINGS:
        raise UsageError(f"Invalid/unsupported encoding option specified: {call.flags['e']}")
    if not call.has("d") and not call.has("n"):
        raise UsageError("Must specify '-n name' or '-d' option.")
    path = _one_path(call.arguments, ".")

    def show(item: Item) -> None:
        call.print(f"# file: {item.text}")
        names = [] if call.has("d") else [_checked(call.flags["n"])]
        for name, value in fetch_xattrs(item.client.namenode, item.path, names).items():
            call.print(name + (f"={_encoded(value, encoding)}" if value else ""))

    call.each_tree([path], show, call.has("R"))


def _encoded(value: bytes, encoding: str) -> str:
    if encoding == "hex":
        return "0x" + value.hex()
    if encoding == "base64":
        return "0s" + base64.b64encode(value).decode()
    return f'"{value.decode(errors="replace")}"'


def decoded(text: str) -> bytes:
    """The value that -v names: in double quotes, as 0x and hexadecimal, as 0s and base64, or as it is.

    Raises:
        RemoteIOError: it is not hexadecimal or base64.
    """
    try:
        if len(text) >= 2 and text[0] == text[-1] == '"':
            return text[1:-1].encode()
        if text[:2].lower() == "0x":
            return bytes.fromhex(text[2:])
        if text[:2].lower() == "0s":
            return base64.b64decode(text[2:], validate=True)
    except (ValueError, binascii.Error) as error:
        raise RemoteIOError(f"{text} cannot be decoded: {error}") from error
    return text.encode()


def set_fattr(call: Call) -> None:
    if call.has("n") and call.has("x"):
        raise UsageError("Can not specify both '-n name' and '-x name' option.")
    if not call.has("n") and not call.has("x"):
        raise UsageError("Must specify '-n name' or '-x name' option.")
    path = _one_path(call.arguments, ".")
    value = decoded(call.flags.get("v", ""))

    def change(item: Item) -> None:
        item.require()
        if call.has("n"):
            set_xattr(item.client.namenode, item.path, _checked(call.flags["n"]), value)
        else:
            remove_xattr(item.client.namenode, item.path, _checked(call.flags["x"]))

    call.each([path], change)


def _checked(name: str) -> str:
    """The name of an attribute, if it is one; a UsageError otherwise."""
    try:
        check_xattr_name(name)
    except IllegalArgument as error:
        raise UsageError(str(error)) from error
    return name


def get_facl(call: Call) -> None:
    path = _one_path(call.arguments)

    def show(item: Item) -> None:
        status = item.present
        call.print(f"# file: {item.text}\n# owner: {status.owner}\n# group: {status.group}")
        if status.permission & 0o1000:
            call.print(f"# flags: --{'t' if status.permission & 1 else 'T'}")
        entries = fetch_acl(item.client.namenode, item.path) if status.flags & HAS_ACL else []
        for line in acl_lines(status.permission, entries):
            call.print(line)
        call.print("")

    call.each_tree([path], show, call.has("R"))


def acl_lines(permission: int, entries: list[AclEntry]) -> list[str]:
    """The list that a permission and further entries make: access first, then what new files get by default.

    With further entries the permission's middle bits are the mask, and the group's own are one of the entries.
    """
    user, middle, other = permission >> 6 & 7, permission >> 3 & 7, permission & 7
    access = [entry for entry in entries if not entry.default]
    last = ([AclEntry("mask", actions=middle)] if access else [AclEntry("group", actions=middle)]) + [
        AclEntry("other", actions=other)
    ]
    default = [entry for entry in entries if entry.default]
    return _masked([AclEntry("user", actions=user), *access, *last]) + _masked(default)


def _masked(entries: list[AclEntry]) -> list[str]:
    mask = next((entry.actions for entry in entries if entry.type == "mask"), None)
    lines = []
    for entry in entries:
        actions = entry.actions or 0
        line = f"{'default:' if entry.default else ''}{entry.type}:{entry.name}:{_letters(actions)}"
        if mask is not None and (entry.name or entry.type == "group") and actions & mask != actions:
            line += f"\t#effective:{_letters(actions & mask)}"
        lines.append(line)
    return lines


def _letters(actions: int) -> str:
    return "".join(letter if actions & bit else "-" for letter, bit in zip("rwx", (4, 2, 1), strict=True))


def set_facl(call: Call) -> None:
    chosen = [flag for flag in ("b", "k", "m", "x", "-set") if call.has(flag)]
    if not chosen:
        raise UsageError("Expected one of -b, -k, -m, -x or --set options")
    if len(chosen) > 1:
        raise UsageError("Specified flags contains both remove and modify flags")
    flag, arguments, entries = chosen[0], call.arguments, list[AclEntry]()
    if flag in ("m", "x", "-set"):
        if len(arguments) < 2:
            raise UsageError("Missing either <acl_spec> or <path>")
        entries = parse_acl(arguments[0], with_actions=flag != "x")
        if not entries:
            raise UsageError("Missing <acl_spec> entry")
        arguments = arguments[1:]
    path = _one_path(arguments)

    def change(item: Item) -> None:
        names, at = item.client.namenode, item.path
        fitting = [entry for entry in entries if not (call.has("R") and entry.default and not item.is_directory)]
        if flag == "b":
            remove_acl(names, at)
        elif flag == "k":
            remove_default_acl(names, at)
        elif fitting:
            {"m": modify_acl, "x": remove_acl_entries, "-set": set_acl}[flag](names, at, fitting)

    call.each_tree([path], change, call.has("R"))


def parse_acl(text: str, with_actions: bool) -> list[AclEntry]:
    """Entries of a list `[default:]type:[name][:rwx],...`.

    Raises:
        UsageError: an entry is none; the message quotes it.
    """
    return [_parse_entry(entry.strip(), with_actions) for entry in text.split(",") if entry.strip()]


def _parse_entry(text: str, with_actions: bool) -> AclEntry:
    parts = text.split(":")
    while parts and not parts[-1]:
        parts.pop()
    default = bool(parts) and parts[0].lower() == "default"
    parts = parts[1:] if default else parts
    kind = parts[0].lower() if parts else ""
    if not parts:
        raise UsageError(f"Invalid <aclSpec> : {text}")
    if kind not in TYPES:
        raise UsageError(f"Invalid type of acl in <aclSpec> :{text}")
    name = parts[1] if len(parts) > 1 else ""
    if len(parts) > (3 if with_actions else 2) or (with_actions and len(parts) < 3):
        raise UsageError(f"Invalid <aclSpec> : {text}")
    if not with_actions:
        return AclEntry(kind, name, None, default)
    if not ACTIONS.fullmatch(parts[2].lower()):
        raise UsageError(f"Invalid permission in <aclSpec> : {text}")
    actions = sum(bit for letter, bit in zip(parts[2].lower(), (4, 2, 1), strict=True) if letter != "-")
    return AclEntry(kind, name, actions, default)


def _one_path(arguments: list[str], end: str = "") -> str:
    if not arguments:
        raise UsageError(f"<path> is missing{end}")
    if len(arguments) > 1:
        raise UsageError(f"Too many arguments{end}")
    return arguments[0]


BELOW = {"R": "Everything below directories too."}

COMMANDS = {
    "getfattr": Command(
        get_fattr,
        "[-R] {-n name | -d} [-e en] <path>",
        "Shows extended attributes: names with a namespace in front (user.origin) and their values.",
        {
            **BELOW,
            "n=name": "This attribute.",
            "d": "All of them.",
            "e=en": "How values are shown: text, hex or base64.",
        },
        ("-d /data/report.csv",),
        0,
    ),
    "setfattr": Command(
        set_fattr,
        "{-n name [-v value] | -x name} <path>",
        "Sets or removes an extended attribute.",
        {
            "n=name": "The attribute to set.",
            "v=value": 'Its value: as it is, in double quotes, as "0x" and hexadecimal, or as "0s" and base64.',
            "x=name": "The attribute to remove.",
        },
        ("-n user.origin -v plant-7 /data/report.csv",),
        0,
    ),
    "getfacl": Command(
        get_facl,
        "[-R] <path>",
        "Shows who may do what: owner, group, and the access control list if there is one.",
        BELOW,
        ("/data",),
        0,
    ),
    "setfacl": Command(
        set_facl,
        "[-R] [{-b|-k} {-m|-x <acl_spec>} <path>]|[--set <acl_spec> <path>]",
        "Changes the access control list: entries with commas between them, each [default:]user|group|mask|other:"
        "[NAME]:rwx. Default entries are what is made in a directory gets.",
        {
            "b": "Remove all entries that the permission does not stand for.",
            "k": "Remove the default entries.",
            **BELOW,
            "m": "Add entries, or change them.",
            "x": "Remove entries, written without their rights.",
            "-set": "Replace the list; it must have entries for user, group and other.",
        },
        ("-m user:bob:r-x /data", "-x user:bob /data"),
        0,
    ),
}
