"""Which address is in which IDC and rack, and how far two places are from each other."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable

from seamlessfs.model.cluster import Location

SAME_NODE, SAME_RACK, SAME_IDC, OTHER_IDC = 0, 2, 4, 6
_CACHED_ADDRESSES_MAX = 65_536


class Topology:
    """Rules from networks to locations; the longest matching prefix wins.

    Args:
        rules: pairs of a network (`10.1.0.0/16`, or a single address) and its location.
        default_home: IDC of writers whose address no rule covers.

    Raises:
        ValueError: a network is not one; the message names it.
    """

    def __init__(self, rules: Iterable[tuple[str, Location]] = (), default_home: str = "") -> None:
        self.replace(rules, default_home)

    def replace(self, rules: Iterable[tuple[str, Location]], default_home: str) -> None:
        """Everybody who has this topology goes by these rules from now on; as it was if one is refused."""
        rules = tuple(rules)
        networks: dict[tuple[int, int], dict[int, Location]] = {}
        for network, location in rules:
            parsed = ipaddress.ip_network(network, strict=False)
            by_prefix = networks.setdefault((parsed.version, parsed.prefixlen), {})
            by_prefix[int(parsed.network_address)] = location
        self.rules, self.default_home = rules, default_home
        self._networks = networks
        self._order = sorted(networks, key=lambda item: -item[1])
        self._cache: dict[str, Location | None] = {}

    def locate(self, address: str) -> Location | None:
        """The location of a numeric address, or None where no rule covers it."""
        if address in self._cache:
            return self._cache[address]
        if len(self._cache) >= _CACHED_ADDRESSES_MAX:
            self._cache.clear()
        found = self._cache[address] = self._match(address)
        return found

    def place(self, address: str, own_setting: str = "") -> Location | None:
        """Where a datanode stands: the rules first, then what it says itself (`/IDC/rack`)."""
        return self.locate(address) or (Location.parse(own_setting) if own_setting else None)

    def _match(self, address: str) -> Location | None:
        try:
            parsed = ipaddress.ip_address(address)
        except ValueError:
            return None
        if isinstance(parsed, ipaddress.IPv6Address) and parsed.ipv4_mapped is not None:
            parsed = parsed.ipv4_mapped
        number, bits = int(parsed), parsed.max_prefixlen
        for version, prefix in self._order:
            if version == parsed.version:
                location = self._networks[version, prefix].get(number >> (bits - prefix) << (bits - prefix))
                if location is not None:
                    return location
        return None

    @staticmethod
    def distance(reader: Location | None, replica: Location, same_node: bool = False) -> int:
        """HDFS's distance: 0 same node, 2 same rack, 4 same IDC, 6 another IDC or a reader of unknown place."""
        if same_node:
            return SAME_NODE
        if reader is None or reader.idc != replica.idc:
            return OTHER_IDC
        return SAME_RACK if reader.rack == replica.rack else SAME_IDC
