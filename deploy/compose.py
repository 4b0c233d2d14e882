"""`python -m deploy.compose [--idcs N] > FILE`: the compose file of the demo cluster with N IDCs.

The committed docker-compose.yml is what this prints for two; a test checks that it is.

Every network has the same plan, in the last byte of an address: 1 the engine, 2 and 3 the router, whose 2 is everyone's
gateway, 10 the namenode (in the network outside all IDCs), 17 to 30 rack r1, 33 to 46 rack r2, 65 to 126 clients.
"""

from __future__ import annotations

import argparse
import string
from collections.abc import Iterator

NET = "10.81"
"""First half of all addresses; private ones that few networks use."""
IDCS_MAX = 8
RACKS = 2
DATANODES_PER_RACK = 2
CLIENT_HOST = 65

HEAD = """\
# {idcs} IDCs on one machine, joined by a router. Written by `python -m deploy.compose --idcs {idcs}`; edit that.
# SEAMLESSFS_PORT and SEAMLESSFS_HTTP_PORT choose other ports of this machine's loopback for the namenode.
name: seamlessfs

# Each probe is a process: seldom, and patient, for machines that have a core for five containers.
x-probe: &probe {{interval: 5s, timeout: 20s, retries: 6, start_period: 60s}}

x-service: &service
  init: true
  restart: unless-stopped
  stop_grace_period: 20s
  cap_drop: [ALL]
  security_opt: [no-new-privileges:true]

x-node: &node
  <<: *service
  image: seamlessfs-node
  pull_policy: never
  depends_on:
    secret: {{condition: service_completed_successfully}}
    router: {{condition: service_healthy}}

x-datanode: &datanode
  <<: *node
  command: [datanode]
  healthcheck:
    test: [CMD-SHELL, python /opt/healthz.py $$SEAMLESSFS_DATANODE_HOST 9864]
    <<: *probe
    interval: 10s

x-datanode-settings: &datanode-settings
  SEAMLESSFS_DATANODE_NAMENODES: '["{net}.0.10:8021"]'
  SEAMLESSFS_DATANODE_DATA_DIRS: '["/data"]'
  SEAMLESSFS_DATANODE_CLUSTER_SECRET_FILE: /secret/secret
  SEAMLESSFS_DATANODE_CONNECT_TIMEOUT_MS: 5000

x-client: &client
  <<: *service
  image: seamlessfs-client
  build: {{context: .., dockerfile: deploy/Dockerfile, target: client}}
  environment: {{HADOOP_CONF_DIR: /etc/hadoop}}
  configs: [{{source: core-site, target: /etc/hadoop/core-site.xml}}]
  depends_on:
    namenode: {{condition: service_healthy}}

services:
  # The DCI: `docker compose exec router dci status|counts|cut|heal|rate 200mbit|delay 5ms`.
  # It alone may change addresses and routes, and is root for that: only root keeps a capability in a container.
  router:
    <<: *service
    image: seamlessfs-router
    build: {{context: .., dockerfile: deploy/Dockerfile, target: router}}
    command: [run, --outside={net}.0.0/24, {sites}]
    cap_add: [NET_ADMIN]
    devices: [/dev/net/tun]
    sysctls: {{net.ipv4.ip_forward: 1, net.ipv4.conf.all.rp_filter: 0, net.ipv4.conf.default.rp_filter: 0}}
    healthcheck: {{<<: *probe, test: [CMD, dci, status], interval: 2s}}
    networks:
      outside: {{ipv4_address: {net}.0.3}}
{router_networks}

  # Makes the secret that datanodes must know, once.
  secret:
    <<: *service
    image: seamlessfs-node
    build: {{context: .., dockerfile: deploy/Dockerfile, target: node}}
    restart: "no"
    network_mode: none
    entrypoint: [python, -c]
    command:
      - |
        import pathlib; from seamlessfs.security.secret import create_secret
        path = pathlib.Path("/secret/secret"); path.exists() or create_secret(path)
    volumes: [secret:/secret]

  namenode:
    <<: *node
    command: [namenode]
    environment:
      SEAMLESSFS_NAMENODE_DATA_DIR: /data
      SEAMLESSFS_NAMENODE_CLUSTER_SECRET_FILE: /secret/secret
      SEAMLESSFS_NAMENODE_TOPOLOGY_FILE: /etc/seamlessfs/topology
      SEAMLESSFS_NAMENODE_DEFAULT_HOME_IDC: a
      SEAMLESSFS_NAMENODE_RPC_HOST: {net}.0.10
      SEAMLESSFS_NAMENODE_CONTROL_HOST: {net}.0.10
      SEAMLESSFS_NAMENODE_HTTP_HOST: {net}.0.10
      SEAMLESSFS_NAMENODE_STALE_AFTER_MS: 4000
      SEAMLESSFS_NAMENODE_DEAD_AFTER_MS: 10000
      SEAMLESSFS_NAMENODE_SETTLE_MS: 10000
      SEAMLESSFS_NAMENODE_SAFEMODE_EXTENSION_MS: 0
    configs: [{{source: topology, target: /etc/seamlessfs/topology}}]
    ports:
      - "127.0.0.1:${{SEAMLESSFS_PORT:-8020}}:8020"
      - "127.0.0.1:${{SEAMLESSFS_HTTP_PORT:-9870}}:9870"
    networks: {{outside: {{ipv4_address: {net}.0.10}}}}
    volumes: [secret:/secret:ro, namenode:/data]
    healthcheck:
      test: [CMD, python, /opt/healthz.py, {net}.0.10, "9870"]
      <<: *probe

"""

TAIL = """\
configs:
  topology:
    content: |
{topology}
  core-site:
    content: |
      <configuration><property><name>fs.defaultFS</name><value>hdfs://{net}.0.10:8020</value></property></configuration>

networks:
{networks}

volumes:
  secret:
  namenode:
{volumes}
"""


def idc_names(idcs: int) -> str:
    return string.ascii_lowercase[:idcs]


def datanodes(number: int, idc: str) -> Iterator[tuple[str, str]]:
    """Name and address of each datanode of an IDC."""
    for rack in range(1, RACKS + 1):
        for n in range(1, DATANODES_PER_RACK + 1):
            yield f"datanode-{idc}-r{rack}-{n}", f"{NET}.{number}.{16 * rack + n}"


def services(number: int, idc: str) -> Iterator[str]:
    yield f"  # IDC {idc}: {RACKS} racks of {DATANODES_PER_RACK} datanodes, and a client with a shell."
    for name, address in datanodes(number, idc):
        yield f"""\
  {name}:
    <<: *datanode
    environment: {{<<: *datanode-settings, SEAMLESSFS_DATANODE_HOST: {address}}}
    networks: {{idc-{idc}: {{ipv4_address: {address}}}}}
    volumes: [secret:/secret:ro, {name}:/data]"""
    yield f"""\
  client-{idc}:
    <<: *client
    networks: {{idc-{idc}: {{ipv4_address: {NET}.{number}.{CLIENT_HOST}}}}}
"""


def topology(number: int, idc: str) -> Iterator[str]:
    for rack in range(1, RACKS + 1):
        yield f"      {NET}.{number}.{16 * rack}/28 /{idc}/r{rack}"
    yield f"      {NET}.{number}.64/26 /{idc}/clients"


def network(number: int, name: str) -> str:
    subnet = f"{NET}.{number}"
    engine, router = f"gateway: {subnet}.1", f"aux_addresses: {{DefaultGatewayIPv4: {subnet}.2}}"
    return f"  {name}: {{ipam: {{config: [{{subnet: {subnet}.0/24, {engine}, {router}}}]}}}}"


def render(idcs: int) -> str:
    """The text of the compose file."""
    numbered = list(enumerate(idc_names(idcs), 1))
    head = HEAD.format(
        idcs=idcs,
        net=NET,
        sites=", ".join(f"{idc}={NET}.{number}.0/24" for number, idc in numbered),
        router_networks="\n".join(f"      idc-{idc}: {{ipv4_address: {NET}.{number}.3}}" for number, idc in numbered),
    )
    tail = TAIL.format(
        net=NET,
        topology="\n".join(line for pair in numbered for line in topology(*pair)),
        networks="\n".join([network(0, "outside"), *(network(number, f"idc-{idc}") for number, idc in numbered)]),
        volumes="\n".join(f"  {name}:" for pair in numbered for name, _ in datanodes(*pair)),
    )
    return head + "\n".join(line for pair in numbered for line in services(*pair)) + "\n" + tail


def main() -> None:
    parser = argparse.ArgumentParser(prog="compose", description=__doc__)
    parser.add_argument("--idcs", type=int, default=2, choices=range(2, IDCS_MAX + 1), metavar="N", help="IDCs (2)")
    print(render(parser.parse_args().idcs), end="")


if __name__ == "__main__":
    main()
