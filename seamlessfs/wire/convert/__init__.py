"""Protobuf messages to the model's values and back: `X_to_pb` writes for any Hadoop client, `X_from_pb` reads from any
Hadoop server.

Reading tolerates what stock HDFS leaves out or names otherwise (a location of one level, an absent storage type);
writing fills what stock clients insist on (an empty block token, a storage type and id a location). One file a
family of values: `blocks`, `status`, `policy`; `integers` undoes Java's signed numbers in unsigned fields.
"""
