# SPDX-License-Identifier: Apache-2.0
"""Tests of umslab_server.commanding.progress: following an execution."""

from __future__ import annotations

from typing import TYPE_CHECKING

import trio

from tests.server.parts import unit_id

from .workshop import Robot

if TYPE_CHECKING:
    from trio.testing import MockClock

    from .workshop import Workshop


async def test_news(shop: Workshop, autojump_clock: MockClock) -> None:
    """Results as they come, from wherever one has read to; nothing more when all is settled."""
    robots = await shop.bring(1, 2)
    robots[1].answers = False
    run = shop.commands.progress(await shop.start())
    assert run is not None
    first = await run.news(0)
    at_first = trio.current_time()
    again = await run.news(0)
    second = await run.news(1)
    end = await run.news(2)

    assert [one.unit_id for one in first] == [unit_id(1)]
    assert again == first
    assert [(one.unit_id, one.state) for one in second] == [(unit_id(2), "FAILED")]
    assert (at_first, trio.current_time()) == (0.0, 30.0)
    assert end == []
    assert run.is_settled


async def test_patience(shop: Workshop, autojump_clock: MockClock) -> None:
    """No longer than one wants to wait."""
    (robot,) = await shop.bring(1)
    robot.answers = False
    run = shop.commands.progress(await shop.start())
    assert run is not None

    assert await run.news(0, 5) == []
    assert trio.current_time() == 5.0
    assert not run.is_settled


async def test_kept_for_the_boot_is_settled(shop: Workshop) -> None:
    """Who follows is told that a device is away, and need not wait for it; its result comes in the end."""
    await shop.add(1)
    run = shop.commands.progress(exec_id := await shop.start(retry_at_boot=True))
    assert run is not None
    kept = await run.news(0)
    nothing = await run.news(1)
    await shop.come(Robot(1), booted=True)
    await shop.results(exec_id)
    after = await run.news(1)

    assert [(one.state, one.finished_at) for one in kept] == [("at-next-boot", None)]
    assert nothing == []
    assert [one.state for one in after] == ["SUCCESS"]
    assert run.is_settled
    assert shop.commands.progress(exec_id) is None


async def test_followers_of_what_is_over(shop: Workshop) -> None:
    """Who holds a run that is over can still read it."""
    await shop.bring(1)
    run = shop.commands.progress(exec_id := await shop.start())
    assert run is not None
    await shop.results(exec_id)

    assert shop.commands.progress(exec_id) is None
    assert [one.state for one in await run.news(0)] == ["SUCCESS"]
    assert await run.news(1) == []
