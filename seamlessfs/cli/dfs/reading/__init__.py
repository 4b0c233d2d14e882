"""Formats that -text shows as text: which one a file has (`decode`), Hadoop's SequenceFile, Avro's container file."""
