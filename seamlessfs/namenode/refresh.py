"""Settings that an administrator changes while the namenode runs: read again when `dfsadmin -refresh...` says so."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable

from seamlessfs.config.host_lists import load_host_lists
from seamlessfs.config.namenode import NamenodeSettings
from seamlessfs.config.topology import TopologyRules, load_topology
from seamlessfs.model.host_lists import HostLists
from seamlessfs.namenode.events import event
from seamlessfs.namenode.sessions import ControlService
from seamlessfs.security.groups import GroupResolver
from seamlessfs.security.users import ProxyRule, Users

LOG = logging.getLogger(__name__)

Reread = Callable[[], NamenodeSettings]
"""Reads the settings where they came from. Raises ConfigurationError."""


class Refresher:
    """Takes over what it reads as a whole, or raises ConfigurationError and changes nothing."""

    def __init__(self, reread: Reread, control: ControlService, resolver: GroupResolver, users: Users) -> None:
        self._reread = reread
        self._control = control
        self._resolver = resolver
        self._users = users

    async def nodes(self) -> None:
        """Which addresses are where, who may be a datanode, who is to leave; hosts' names are looked up again."""
        settings = await asyncio.to_thread(self._reread)
        rules = await asyncio.to_thread(topology_rules, settings)
        lists = await asyncio.to_thread(host_lists, settings)
        self._control.replace_places(rules, default_home(settings, rules), lists)

    async def groups(self) -> None:
        """Who is in which group: what the settings say, and what was asked of the operating system."""
        self._resolver.forget(fixed_groups(await asyncio.to_thread(self._reread)))

    async def proxies(self) -> None:
        """Who may act for whom."""
        self._users.replace_proxies(proxy_rules(await asyncio.to_thread(self._reread)))


def topology_rules(settings: NamenodeSettings) -> TopologyRules:
    return load_topology(settings.topology_file) if settings.topology_file else ()


def host_lists(settings: NamenodeSettings) -> HostLists:
    lists, unknown = load_host_lists(settings.hosts_file, settings.hosts_exclude_file)
    if unknown:
        event(LOG, "hosts_without_address", logging.WARNING, hosts=",".join(unknown))
    return lists


def default_home(settings: NamenodeSettings, rules: TopologyRules) -> str:
    """IDC of writers whose address no rule covers: as set, or the first one."""
    return settings.default_home_idc or min((place.idc for _, place in rules), default="default")


def fixed_groups(settings: NamenodeSettings) -> dict[str, tuple[str, ...]]:
    return {user: tuple(names) for user, names in settings.groups.items()}


def proxy_rules(settings: NamenodeSettings) -> dict[str, ProxyRule]:
    return {user: ProxyRule(users=tuple(names)) for user, names in settings.proxy_users.items()}
