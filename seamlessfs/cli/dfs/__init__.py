"""`seamlessfs dfs`: the shell over files, with the formats, messages and exit codes of `hadoop fs`.

Read `shell` (options, dispatch, exit codes), `call` (one command while it runs), `item` (paths as typed and the errors
that name them), then the commands by family: `listing`, `transfer`, `change`, `describe`.
"""
