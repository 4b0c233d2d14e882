"""The journal: the truth about the namespace, a sequence of numbered write sets.

Read `api` for what a journal promises, `record` for the form of one write set, `frames` and `embedded` for the
journal in local files.
"""
