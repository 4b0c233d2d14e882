"""`hdfs fsck`: a walk over a part of the tree that says of each file whether its blocks are where they should be.

It promises to hold nobody up: the tree is read in slices, each over a snapshot of its own and in a worker thread; what
is known of replicas is looked up for one slice at a time. What changes meanwhile is seen or not, as in HDFS. A caller
sees what the permissions let the caller read.

Read `options` (what can be asked), `walk` (slices of the tree), `blocks` (one file), `result` (the sums), then `check`.

Wire: the text is that of stock HDFS 3.3.6, whose tool reads it to find its exit code; observed, and shown in
tests/interop/test_fsck.py.
"""
