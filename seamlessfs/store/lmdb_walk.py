"""`python -m seamlessfs.store.lmdb_walk DIRECTORY`: reads every record of an LMDB store; ends with 0 if it can.

A process of its own: a page that is not in the file any more kills whoever reads it.
"""

from __future__ import annotations

import sys

import lmdb

TABLES = (b"data", b"meta")


def main(directory: str) -> int:
    """Walks all tables; 1 if a page is damaged."""
    try:
        with lmdb.open(directory, readonly=True, lock=False, max_dbs=len(TABLES)) as environment:
            for name in TABLES:
                table = environment.open_db(name, create=False)
                with environment.begin(db=table) as transaction, transaction.cursor() as cursor:
                    for _ in cursor.iternext():
                        pass
    except lmdb.Error as error:
        sys.stderr.write(f"{error}\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
