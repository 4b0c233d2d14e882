"""DataTransferProtocol version 28: what is said on a datanode's transfer port, as bytes and values.

Read `op_header` and `ops` (a request), `response` (its answer), then `packet` (the data), then `ack` (what flows back
while writing); `short_circuit` and `slots` are for readers on the datanode's machine. Each message that is not a packet
goes as a varint length and a protobuf message: `delimited`.
"""
