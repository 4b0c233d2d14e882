"""Addresses and routes of the router, and netem where the kernel has it."""

from __future__ import annotations

import errno
from collections.abc import Iterable
from ipaddress import IPv4Network

from pyroute2 import IPRoute
from pyroute2.netlink.exceptions import NetlinkError

from deploy.dci.link import Link

GATEWAY_HOST = 2
"""The router's address in each network, which compose.py makes the default gateway; the first is the engine's."""
TABLE_FIRST = 100


def lay(networks: dict[str, IPv4Network], outside: Iterable[IPv4Network], links: Iterable[Link]) -> None:
    """Makes this machine the gateway of every network, and each link's device the way between its two.

    What is routed back from a link's device takes the main table, as its rule is only for what comes from an IDC.
    """
    with IPRoute() as ip:
        interfaces = {network: _interface(ip, network) for network in (*networks.values(), *outside)}
        for network, index in interfaces.items():
            ip.addr("replace", index=index, address=str(network[GATEWAY_HOST]), prefixlen=network.prefixlen)
        for table, link in enumerate(links, TABLE_FIRST):
            source, target = networks[link.source], networks[link.target]
            device = ip.link_lookup(ifname=link.device)[0]
            ip.link("set", index=device, state="up")
            ip.route("replace", dst="0.0.0.0/0", oif=device, table=table)
            ip.rule(
                "add",
                priority=table,
                table=table,
                iifname=ip.get_links(interfaces[source])[0].get_attr("IFLA_IFNAME"),
                src=str(source.network_address),
                src_len=source.prefixlen,
                dst=str(target.network_address),
                dst_len=target.prefixlen,
            )


def _interface(ip: IPRoute, network: IPv4Network) -> int:
    """Index of the interface that has an address in a network."""
    for address in ip.get_addr(family=2):
        if IPv4Network(f"{address.get_attr('IFA_ADDRESS')}/{address['prefixlen']}", strict=False) == network:
            return int(address["index"])
    raise SystemExit(f"dci: no interface has an address in {network}")


def delay_by_netem(link: Link) -> bool:
    """Lets the kernel hold packets for the link's delay; False where it has no netem."""
    with IPRoute() as ip:
        device = ip.link_lookup(ifname=link.device)[0]
        try:
            ip.tc("replace", "netem", device, "1:", delay=int(link.delay_s * 1e6))
        except NetlinkError as error:
            if error.code in (errno.ENOENT, errno.EOPNOTSUPP):
                return False
            raise
    return True
