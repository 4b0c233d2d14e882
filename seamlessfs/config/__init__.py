"""Typed settings of every program: frozen, with unit, range and description; an unknown key is an error.

One module a program holds its settings as a pydantic model; `load` fills such a model from a TOML file, the
environment and flags, in this order. Pure code never sees settings, only small value objects made from them.
"""
