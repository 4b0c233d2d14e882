"""The namenode: composes namespace, blocks, store and journal behind Hadoop RPC and the control stream.

It promises what the five rules of the design promise: every mutation is an operation over a transaction that the one
writer (`writer`) runs, and no answer leaves before the journal has the batch. The other modules translate calls into
such operations and carry out what the block manager decides.
"""
