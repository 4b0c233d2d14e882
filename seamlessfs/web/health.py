"""/healthz: for probes of containers and load balancers."""

from __future__ import annotations

from collections.abc import Callable

from aiohttp import web

from seamlessfs.web.server import Page, plain


def health_page(ailments: Callable[[], list[str]]) -> Page:
    """A page that says "ok" with status 200, or each ailment on a line of its own with 503."""

    async def page(request: web.BaseRequest) -> web.Response:
        found = ailments()
        return plain("".join(f"{each}\n" for each in found), 503) if found else plain("ok\n")

    return page
