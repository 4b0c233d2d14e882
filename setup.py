"""The package as pyproject.toml describes it; where SEAMLESSFS_COMPILE is set, its busiest modules are compiled."""

import os
import tomllib
from pathlib import Path

from setuptools import setup

modules = []
if os.environ.get("SEAMLESSFS_COMPILE"):
    from mypyc.build import mypycify

    with Path(__file__).with_name("pyproject.toml").open("rb") as file:
        modules = mypycify(tomllib.load(file)["tool"]["seamlessfs"]["compiled"], opt_level="3", strip_asserts=False)

setup(ext_modules=modules)
