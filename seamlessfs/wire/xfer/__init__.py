"""DataTransferProtocol version 28: what is said on a datanode's transfer port, as bytes and values.

Read `ops` (a request and its answer), then `packet` (the data), then `ack` (what flows back while writing). Each
message that is not a packet goes as a varint length and a protobuf message: `delimited`.
"""
