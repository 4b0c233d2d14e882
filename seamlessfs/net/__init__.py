"""Transports: sockets and event loops around the protocols of `wire`.

It promises bounds on everything a peer can make grow (connections, calls in flight, buffers, silence), and that no
protocol is decided here: bytes go to a connection object of `wire`, and what that answers is carried out.

Servers: `rpc_server` (Hadoop RPC on asyncio; read `rpc_call`, `rpc_connection`, `rpc_server`; whose turn it is decides
`rpc_lanes`, who may stay `rpc_admission`). Blocking streams for
data: `stream`, with their bytes counted by link and class in `traffic`.
"""
