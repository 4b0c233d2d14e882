"""The datanode: keeps replicas as files, moves their bytes, tells namenodes what it has.

Promises: a replica whose last packet was acknowledged is finalised and (by default) durable; what is read is what
was acknowledged, with the checksums that came with it; the files are HDFS's own, so HDFS's tools read them; reads
go on while no namenode can be reached.

Read in this order: `layout` (names on disk), `volume` (one directory), `replica_writer` and `open_replica` (bytes
of one replica), `replicas` (all of them), `xceiver` (the transfer port) with `send`, `receive`, `transfer` and
`checksums` (its operations), `control` (the stream to a namenode), `ipc` (ClientDatanodeProtocol), and `daemon`,
which owns them all. Bytes move on one thread a connection with blocking sockets; control and IPC on one event loop.
"""
