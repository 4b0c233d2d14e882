"""The one client library: files of any HDFS namespace, ours or stock, over Hadoop RPC and DataTransferProtocol.

It promises: every byte read is verified; a failed replica is followed by the next one, in the namenode's order, nearest
first; a writer goes on behind the last acknowledged byte when datanodes of its pipeline fail; calls from many threads
are safe; after a fork parent and child share no socket and no name.

Read in this order: `options` (how a client is configured), `client` (what it can do), `namenode` (one method a
call), `replica_choice` (which replica next, pure), `file_reader`, `pipeline_recovery` (what to do when a pipeline
broke, pure), `file_writer`, `leases`; below them `rpc` and the data path `datanode_connection`, `block_reader`,
`block_checksum`, `block_writer` with `packet_window`, `pipeline` and `pipeline_repair`, and past the network
`short_circuit` with `local_datanode` and `local_file`. `seamlessfs.filesystem` is the fsspec face of it.
"""
