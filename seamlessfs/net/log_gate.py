"""What peers can have logged: a line for each address now and then, not one for each thing that it does."""

from __future__ import annotations

import threading
from collections import OrderedDict

INTERVAL_S = 60.0
KEYS_MAX = 1000


class LogGate:
    """Lets one line a key through in each interval, and counts what it holds back. Thread-safe.

    Args:
        keys_max: keys remembered; beyond it the one that was let through first is forgotten, and may speak again.
    """

    def __init__(self, interval_s: float = INTERVAL_S, keys_max: int = KEYS_MAX) -> None:
        self._interval_s = interval_s
        self._keys_max = keys_max
        self._guard = threading.Lock()
        self._said: OrderedDict[str, tuple[float, int]] = OrderedDict()

    def passes(self, key: str, now_mono_s: float) -> int:
        """How often it has happened since it was last said, this time included; 0 when it is not to be said now."""
        with self._guard:
            said = self._said.get(key)
            if said is not None and now_mono_s - said[0] < self._interval_s:
                self._said[key] = (said[0], said[1] + 1)
                return 0
            self._said[key] = (now_mono_s, 0)
            self._said.move_to_end(key)
            while len(self._said) > self._keys_max:
                self._said.popitem(last=False)
            return 1 if said is None else said[1] + 1
