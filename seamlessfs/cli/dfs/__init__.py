"""`seamlessfs dfs`: the shell over files, with the formats, messages and exit codes of `hadoop fs`.

Read `shell` (options, dispatch, exit codes), `command` (what a command is, and how its words are read), `call` (one
command while it runs), `item` (paths as typed and the errors that name them), then the commands by family: `listing`,
`display` (with `reading`), `copying` with `upload`, `download` and `within`, `names` with `trash`, `permissions`,
`space`, `describe`, `find`, `attributes`, `versions`.
"""
