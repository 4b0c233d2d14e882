"""Who may do what: users and their groups, permission checks as HDFS makes them, and the cluster secret.

Nothing here keeps state of the namespace. Read `users` (a caller becomes a principal), `permissions` (the checks),
then `secret` (how datanodes and namenodes trust each other).
"""
