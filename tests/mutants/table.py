"""The mutants, by the floor that they live on."""

from __future__ import annotations

from tests.mutants.mutant import Mutant

MUTANTS: tuple[Mutant, ...] = (
    Mutant(
        "slow-replica-crosses",
        "slowness alone never makes a read go to another IDC",
        "client/replica_choice.py",
        "return uuid in suspects, idcs.index(replica.datanode.location.idc), uuid in slow",
        "return uuid in suspects, uuid in slow, idcs.index(replica.datanode.location.idc)",
        ("unit/client/test_client_replica_choice.py",),
    ),
)
