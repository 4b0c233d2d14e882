"""Measurements, run by hand or by `make bench`; none of them is a test.

`python -m bench` measures calls on the namespace beside stock HDFS (`metadata`: `namenodes` are the servers, `rpc_load`
the callers) and the data path (`streams`: `data_servers` are the servers, `java_streams` and `python_clients` the
clients). Each comparison is of one run: cases take turns, and their median, least and most are told. `writer` and
`micro` measure single parts.
"""
