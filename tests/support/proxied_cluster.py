"""A cluster whose datanodes are reached, by clients and by each other, only through proxies that tests can break."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from seamlessfs.cli.mini import MiniCluster, MiniDatanode
from tests.support.tcp_proxy import Address, TcpProxy


class ProxiedCluster(MiniCluster):
    """A MiniCluster whose datanodes register the port of the proxy before them; processes can be killed as ever.

    Attributes:
        proxies: by the address of the datanode behind: `cluster.proxies[replica.datanode.id.ip]`.
    """

    def __init__(self, folder: Path, **arguments: Any) -> None:
        super().__init__(folder, **arguments)
        self.proxies = {datanode.address: _proxy(datanode) for datanode in self.datanodes}
        for datanode in self.datanodes:
            with (datanode.folder / "config.toml").open("a") as config:
                config.write(f"advertised_xfer_port = {self.proxies[datanode.address].port}\n")

    def start(self) -> None:
        for proxy in self.proxies.values():
            proxy.__enter__()
        super().start()

    def stop(self) -> None:
        super().stop()
        for proxy in self.proxies.values():
            proxy.stop()

    def heal(self) -> None:
        """Ends every fault."""
        for proxy in self.proxies.values():
            proxy.heal()

    def named(self, address: str) -> MiniDatanode:
        """The datanode at an address."""
        return next(datanode for datanode in self.datanodes if datanode.address == address)


def _proxy(datanode: MiniDatanode) -> TcpProxy:
    def target() -> Address:
        return datanode.address, json.loads(datanode.port_file.read_text())["xfer"]

    return TcpProxy(target, datanode.address)
