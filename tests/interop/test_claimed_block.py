"""A writer that reaches no datanode and closes its file all the same, as the Go client does: the file is not stuck."""

from __future__ import annotations

from dataclasses import replace

import pytest

from seamlessfs.cli.mini import MiniCluster
from tests.support.observe import client_in, until

LENGTHS = (0, 4097)


@pytest.mark.parametrize("length", LENGTHS)
def test_a_block_that_exists_only_in_a_claim_is_dropped_when_the_lease_is_recovered(
    mini: MiniCluster, length: int
) -> None:
    path = f"/claimed-{length}"
    with client_in(mini, "a") as client:
        names, holder = client.namenode, "gone-writer"
        status = names.create(
            path,
            permission=0o644,
            client_name=holder,
            overwrite=False,
            create_parent=True,
            replication=4,
            block_size=1 << 20,
        )
        located = names.add_block(path, holder, None, (), status.inode_id)
        claimed = replace(located.block, block=replace(located.block.block, length=length))
        assert not names.complete(path, holder, claimed, status.inode_id)
        assert not names.recover_lease(path, "another")
        until(lambda: names.is_file_closed(path), "the file is closed, asked for once")
        assert client.read_file(path) == b""
        assert client.status(path).length == 0
