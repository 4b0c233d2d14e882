"""One HDFS namespace over datanodes in several data centres (IDCs).

Read in this order: `model` (what things are), `wire` (how they are said), `store` and `journal` (how they are
kept), `namespace` and `blocks` (what is decided), then the daemons `namenode` and `datanode`, the one `client`,
and its fsspec face `filesystem`.
"""

__version__ = "0.1.0"
