"""Commands: what people type. Composes everything below, decides nothing itself.

`main` finds the command; `dfs` is the shell over files with Hadoop's formats, messages and exit codes; `mini` is a
whole cluster on one machine, as real processes.
"""
