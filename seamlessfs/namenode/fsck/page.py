"""/fsck: the page that stock's tool and ours ask for a check."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator

from aiohttp import web

from seamlessfs.model.errors import SeamlessError
from seamlessfs.namenode.audit import audit_check
from seamlessfs.namenode.audit_file import AuditFile
from seamlessfs.namenode.core import Core, mono_ms
from seamlessfs.namenode.fsck.check import Fsck
from seamlessfs.namenode.fsck.lost_found import LostFound
from seamlessfs.namenode.fsck.options import FsckOptions
from seamlessfs.security.users import Users
from seamlessfs.web.server import Page, Streamed, plain

RUNNING_MAX = 4
"""Checks at the same time: each keeps one walk of the tree busy."""

CONTENT_TYPE = "text/plain; charset=utf-8"


def fsck_page(core: Core, users: Users, lost_found: LostFound, audit: AuditFile | None) -> Page:
    """A page whose query is what stock's tool sends. Who asks is who it says it is, as on the client port."""
    running = 0

    async def counted(lines: AsyncIterator[str]) -> AsyncGenerator[bytes, None]:
        nonlocal running
        running += 1
        try:
            async for text in lines:
                yield text.encode(errors="replace")
        finally:
            running -= 1

    async def page(request: web.BaseRequest) -> web.Response | Streamed:
        if running >= RUNNING_MAX:
            return plain(f"{running} checks are running: ask again later\n", 503)
        remote = request.remote or ""
        options = FsckOptions.of(request.query, remote)
        if options.changes and request.headers.get("Sec-Fetch-Site", "none") not in ("none", "same-origin"):
            return plain("A page of another site may not have files moved or deleted\n", 403)
        try:
            principal = users.principal(options.user, None, remote, mono_ms())
        except SeamlessError as error:
            return plain(f"{error}\n", 403)
        if audit is not None:
            audit_check(audit, principal, remote, options.path, options.block_ids or ())
        return Streamed(counted(Fsck(core, principal, options, lost_found).run()), CONTENT_TYPE)

    return page
