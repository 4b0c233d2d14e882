"""What the namespace keeps in memory: hints that the store confirms, and nothing else."""

from __future__ import annotations

from seamlessfs.model.ids import PoolId
from seamlessfs.namespace.leases import Leases
from seamlessfs.namespace.retry_cache import RetryCache
from seamlessfs.namespace.totals import Totaller


class State:
    """Passed to every operation that changes something."""

    def __init__(self, pool_id: PoolId, retry_cache_ms: int) -> None:
        self.pool_id = pool_id
        self.totals = Totaller()
        self.leases = Leases()
        self.retries = RetryCache(retry_cache_ms)
