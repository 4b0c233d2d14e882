"""Which groups a user is in: a fixed table first, then the operating system, remembered for a while."""

from __future__ import annotations

import grp
import os
import pwd
from collections import OrderedDict
from collections.abc import Callable, Mapping

GroupLookup = Callable[[str], tuple[str, ...]]

USERS_REMEMBERED_MAX = 10_000


def os_groups(user: str) -> tuple[str, ...]:
    """The user's groups on this machine, primary one first; none for a user that the machine does not know."""
    try:
        entry = pwd.getpwnam(user)
    except (KeyError, ValueError):
        return ()
    names = []
    for group_id in os.getgrouplist(user, entry.pw_gid):
        try:
            names.append(grp.getgrgid(group_id).gr_name)
        except KeyError:
            continue
    return tuple(names)


class GroupResolver:
    """Answers from the fixed table, else from what was looked up within the last `ttl_ms`.

    Cost: a look-up may ask a directory service; it happens once a user and `ttl_ms`.
    """

    def __init__(
        self,
        fixed: Mapping[str, tuple[str, ...]] | None = None,
        *,
        lookup: GroupLookup = os_groups,
        ttl_ms: int = 300_000,
        users_max: int = USERS_REMEMBERED_MAX,
    ) -> None:
        self._fixed = dict(fixed or {})
        self._lookup = lookup
        self._ttl_ms = ttl_ms
        self._users_max = users_max
        self._known: OrderedDict[str, tuple[int, tuple[str, ...]]] = OrderedDict()

    def groups(self, user: str, now_mono_ms: int) -> tuple[str, ...]:
        """The user's groups, primary one first."""
        fixed = self._fixed.get(user)
        if fixed is not None:
            return fixed
        known = self._known.get(user)
        if known is not None and now_mono_ms - known[0] < self._ttl_ms:
            return known[1]
        found = self._lookup(user)
        self._known[user] = (now_mono_ms, found)
        self._known.move_to_end(user)
        while len(self._known) > self._users_max:
            self._known.popitem(last=False)
        return found

    def forget(self, fixed: Mapping[str, tuple[str, ...]] | None = None) -> None:
        """Looks every user up again at the next question (refreshUserToGroupsMappings).

        Args:
            fixed: takes the place of the fixed table, if it is given.
        """
        if fixed is not None:
            self._fixed = dict(fixed)
        self._known.clear()
