"""Bugs that were put in on purpose: each one must be caught by the tests that are named for it.

`make mutants` runs them; `table.py` is the list. A mutant that survives shows a hole in the tests, not in the code.
"""
