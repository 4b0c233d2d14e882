"""What the namespace keeps in memory: hints that the store confirms, and nothing else."""

from __future__ import annotations

from seamlessfs.model.ids import PoolId
from seamlessfs.namespace.leases import Leases
from seamlessfs.namespace.retry_cache import RetryCache


class State:
    """Passed to the operations that need it."""

    def __init__(self, pool_id: PoolId, retry_cache_ms: int) -> None:
        self.pool_id = pool_id
        self.leases = Leases()
        self.retries = RetryCache(retry_cache_ms)
