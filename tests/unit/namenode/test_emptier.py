"""The trashes of all users are emptied: what is old goes, what is not becomes a checkpoint, nothing else is touched."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from datetime import datetime
from pathlib import Path

import pytest

from seamlessfs.config.namenode import NamenodeSettings
from seamlessfs.model.trash import checkpoint_name
from seamlessfs.namenode.core import Core
from seamlessfs.namenode.emptier import Emptier
from seamlessfs.namenode.main import Namenode
from seamlessfs.security.secret import create_secret

INTERVAL_MIN = 60
MINUTE_MS = 60_000


def at(text: str) -> int:
    return int(datetime.fromisoformat(text).astimezone().timestamp() * 1000)


NOON = at("2026-11-30 12:00:00")


@pytest.fixture
async def core(tmp_path: Path) -> AsyncIterator[Core]:
    """A real namenode, for its namespace and its writer; listings have two entries a page."""
    create_secret(tmp_path / "secret")
    namenode = Namenode(
        NamenodeSettings(
            data_dir=tmp_path / "data",
            cluster_secret_file=tmp_path / "secret",
            rpc_port=0,
            control_port=0,
            listing_page=2,
            trash_interval_min=INTERVAL_MIN,
            safemode_extension_ms=0,
        )
    )
    await namenode.start()
    yield namenode.core
    await namenode.stop()


async def make(core: Core, *paths: str) -> None:
    context = core.own_context()
    for path in paths:
        await core.writer.submit(lambda tx, path=path: core.namespace.mkdirs(tx, context, path, 0o700))


def names(core: Core, path: str) -> list[str]:
    after = b""
    found: list[str] = []
    while True:
        listing = core.namespace.get_listing(core.view(), core.own_context(), path, after, 2)
        assert listing is not None
        found += [entry.name.decode() for entry in listing.entries]
        if not listing.remaining:
            return found
        after = listing.entries[-1].name


async def test_a_round_deletes_what_is_old_and_keeps_the_rest(core: Core) -> None:
    for user in ("ann", "bob", "carol"):
        await make(core, f"/user/{user}/.Trash/Current/data", f"/user/{user}/kept")
    old, older, young = (checkpoint_name(NOON - minutes * MINUTE_MS) for minutes in (61, 6000, 59))
    await make(
        core, *(f"/user/bob/.Trash/{name}/data" for name in (old, older, young, f"{old}-1", "2601010000", "own"))
    )
    await make(core, "/user/dave", f"/elsewhere/.Trash/{old}")
    await Emptier(core).empty(NOON)
    assert names(core, "/user/ann/.Trash") == names(core, "/user/carol/.Trash") == ["261130120000"]
    assert names(core, "/user/ann/.Trash/261130120000") == ["data"]
    assert names(core, "/user/bob/.Trash") == [young, "261130120000", "own"]
    assert names(core, "/user/bob") == [".Trash", "kept"]
    assert names(core, "/user/dave") == []
    assert names(core, "/elsewhere/.Trash") == [old]


async def test_a_checkpoint_of_the_same_second_gets_a_number(core: Core) -> None:
    await make(core, "/user/ann/.Trash/Current", "/user/ann/.Trash/261130120000")
    await Emptier(core).empty(NOON)
    assert names(core, "/user/ann/.Trash") == ["261130120000", "261130120000-1"]


async def test_what_was_deleted_stays_for_an_interval_and_less_than_two(core: Core) -> None:
    await make(core, "/user/ann/.Trash/Current/data")
    for minutes in (0, 60):
        await Emptier(core).empty(NOON + minutes * MINUTE_MS)
        assert names(core, "/user/ann/.Trash") == ["261130120000"]
    await Emptier(core).empty(NOON + 120 * MINUTE_MS)
    assert names(core, "/user/ann/.Trash") == []


async def test_rounds_are_at_multiples_of_the_interval_and_not_in_safe_mode(core: Core) -> None:
    clock = [NOON + 17 * MINUTE_MS]
    waits: list[float] = []

    async def wait(seconds: float) -> None:
        waits.append(seconds)
        clock[0] += int(seconds * 1000)
        if len(waits) == 2:
            core.standstill.enter()
        if len(waits) == 3:
            raise asyncio.CancelledError

    await make(core, "/user/ann/.Trash/Current")
    with pytest.raises(asyncio.CancelledError):
        await Emptier(core, clock=lambda: clock[0], wait=wait).run()
    assert waits == [43 * 60, 3600, 3600]
    assert names(core, "/user/ann/.Trash") == ["261130130000"]


@pytest.mark.parametrize(("checkpoint_min", "wait_min"), [(15, 13), (60, 43), (61, 43), (0, 43)])
async def test_checkpoints_may_be_made_more_often_than_they_expire(
    core: Core, checkpoint_min: int, wait_min: int
) -> None:
    core.settings = core.settings.model_copy(update={"trash_checkpoint_interval_min": checkpoint_min})
    clock = [NOON + 17 * MINUTE_MS]
    made: list[list[str]] = []

    async def wait(seconds: float) -> None:
        made.append(names(core, "/user/ann/.Trash"))
        assert made[1:] or seconds == wait_min * 60
        clock[0] += int(seconds * 1000) + 1
        await make(core, "/user/ann/.Trash/Current")
        if len(made) == 8:
            raise asyncio.CancelledError

    await make(core, "/user/ann/.Trash")
    with pytest.raises(asyncio.CancelledError):
        await Emptier(core, clock=lambda: clock[0], wait=wait).run()
    assert made[1][0].startswith("2611301230" if checkpoint_min == 15 else "2611301300")
    assert max(map(len, made)) == (4 if checkpoint_min == 15 else 1)


async def test_without_a_trash_nothing_runs(core: Core) -> None:
    core.settings = core.settings.model_copy(update={"trash_interval_min": 0})

    async def wait(seconds: float) -> None:
        pytest.fail("there is nothing to wait for")

    await Emptier(core, wait=wait).run()
