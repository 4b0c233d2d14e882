"""The tree: what each operation of HDFS means, as pure functions over a view or a transaction of the store.

Promises: an operation that raises leaves nothing behind, since everything it changes goes through its transaction
(totals and counters included) and what is kept in memory is only ever a hint that the store confirms; the totals of
every directory are exact once a batch is settled; ids are never given out twice; errors are HDFS's, letter for letter.

Read `context` (what an operation is given), `tree` (paths to inodes), `totals` (what a subtree holds), then one
family of operations in `ops`, then `namespace`, which the daemon talks to.
"""
