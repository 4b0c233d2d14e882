"""Measurements, run by hand or by `make bench`; none of them is a test.

`python -m bench` measures the data path through a whole cluster on this machine (`data_path`). Each comparison is of
one run: cases take turns, and their median, least and most are told. `writer` and `micro` measure single parts.
"""
