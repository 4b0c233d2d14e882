"""Administrators' commands, with the output, messages and exit codes of HDFS's own.

`dfsadmin` is a table of commands, the larger ones in `report` and `datanodes`; `fsck`, `storagepolicies`, `groups` and
`getconf` are one module each. Their options are Hadoop's; `--json` prints what a script would otherwise have to parse.
"""
