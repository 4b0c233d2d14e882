"""What goes over the wire, without a socket: bytes in, events or values out; values in, bytes out.

Nothing here waits, reads a clock or logs, so that the daemons, the client and the tests share one
implementation of each protocol. `rpc` is Hadoop RPC version 9, `xfer` DataTransferProtocol version 28, `convert`
turns protobuf messages into the model's values and back, `checksum` is what both sides of a transfer compute.
"""
