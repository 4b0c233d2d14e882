"""Safe mode at start, as decisions: stock HDFS's rules."""

from __future__ import annotations

import pytest

from seamlessfs.blocks.safe_mode import Found, SafeModeRule, Stage, StartupSafeMode

RULE = SafeModeRule(0.999, 2, 30_000)


def looked(*steps: tuple[int, Found], rule: SafeModeRule = RULE) -> list[Stage]:
    mode = StartupSafeMode(rule)
    return [mode.look(found, now_ms) for now_ms, found in steps]


def test_enough_blocks_and_datanodes_begin_the_extension_and_its_end_ends_it() -> None:
    assert (
        looked(
            (0, Found(0, 2000, 0, 0)),
            (10, Found(1997, 2000, 2, 0)),
            (20, Found(1998, 2000, 1, 0)),
            (30, Found(1998, 2000, 2, 0)),
            (30_029, Found(2000, 2000, 2, 0)),
            (30_030, Found(2000, 2000, 2, 0)),
            (30_040, Found(0, 2000, 0, 0)),
        )
        == [Stage.PENDING] * 3 + [Stage.EXTENSION] * 2 + [Stage.OFF] * 2
    )


def test_what_is_lost_in_the_extension_keeps_it_on() -> None:
    assert looked(
        (0, Found(0, 1000, 0, 0)),
        (1, Found(1000, 1000, 2, 0)),
        (40_000, Found(900, 1000, 1, 0)),
        (50_000, Found(999, 1000, 2, 0)),
    ) == [Stage.PENDING, Stage.EXTENSION, Stage.EXTENSION, Stage.OFF]


@pytest.mark.parametrize("total", [0, 1])
def test_nothing_to_wait_for_is_not_waited_for(total: int) -> None:
    assert looked((0, Found(0, total, 0, 0)), rule=SafeModeRule(0.999, 0, 30_000)) == [Stage.OFF]


def test_without_an_extension_it_ends_when_there_is_enough() -> None:
    rule = SafeModeRule(1.0, 0, 0)
    assert looked((0, Found(0, 5, 0, 0)), (1, Found(5, 5, 1, 0)), rule=rule) == [Stage.PENDING, Stage.OFF]


def test_replicas_newer_than_the_namespace_keep_it_on_for_ever() -> None:
    later = [(day * 86_400_000, Found(5, 5, 9, 1)) for day in range(1, 5)]
    assert looked((0, Found(0, 5, 0, 0)), *later) == [Stage.PENDING] + [Stage.EXTENSION] * 4
