"""Which replica is where, which are owed, and what to do about it: pure decisions about blocks.

Events go in (registrations, heartbeats, reports, commits, a clock value), commands come out (copy this, delete
that); nothing here does I/O, reads a clock or rolls its own dice. The promises: a block gets what its policy wants
in each IDC, on distinct racks; a link between IDCs is crossed only when the target IDC has no valid replica; and
nothing is deleted that would leave less than what is wanted.

Reading order: `topology` and `cluster` (who is where), `policy` and `redundancy` (what is wanted, what is owed),
`placement` (where new replicas go), `block_map` (where replicas are), `reports` (how reports change it), `debt`,
`transfers` and `repair` (how what is owed gets paid), `manager` (all of it behind one object).
"""
