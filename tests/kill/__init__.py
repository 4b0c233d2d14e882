"""`make kill N=200`: a cluster under load is killed again and again; nothing acknowledged is lost, nothing stays stuck.

What is promised: whatever the seed, after every fault the processes come back by the command that started them first,
work succeeds again within a promised time, and what is then seen (namespace, bytes, replicas, disks) is what the log
of acknowledgements says.

Read in this order: operations (what clients do, and what may be seen when they were not told), expected (the log's
meaning: what must be there), mix (what a worker does next), faults (what is done to them, from a seed): these are
pure. recorder (the log, a process of its own), clients and worker (the load), striker (signals and restarts),
inspection (what is there), campaign (all of it in order).
"""
