"""`make powercut N=50`: machines of a cluster lose power under load; nothing acknowledged is missing or different.

Each machine has a disk of its own that forgets what was not made durable. A round: load, a cut (at a random moment, or
right before or after some fsync), power back, the same commands start the processes, everything is compared.

What is promised after a cut: a closed file has exactly its bytes; an open one has at least what hsync acknowledged;
names are where the last acknowledged operation put them; every start succeeds by itself.

Read `ledger` (what may be seen, given what was acknowledged: pure), `load` (who writes), `machines` (who loses power
and comes back), `campaign` (rounds).
"""
