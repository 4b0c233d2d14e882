"""The operations, one family a file. Each validates first and writes last."""
