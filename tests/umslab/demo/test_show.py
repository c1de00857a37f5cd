# SPDX-License-Identifier: Apache-2.0
"""Tests of umslab.demo.show."""

from __future__ import annotations

from typing import TYPE_CHECKING

import trio

from umslab.demo.show import Show
from umslab_agent.living import Change
from umslab_protocol.machines.device_life import State

if TYPE_CHECKING:
    import pytest


def _change(state: State, *, managed: bool = False) -> Change:
    return Change(state, managed, None, None)


async def test_counts_and_waits(capsys: pytest.CaptureFixture[str], autojump_clock: trio.testing.MockClock) -> None:
    """A wait ends when the counts are as wanted, and the summary names every step."""
    with Show() as show:
        show.step("1. a step")
        show.note("A", _change(State.ONLINE))

        async def later() -> None:
            await trio.sleep(1)
            show.note("A", _change(State.ONLINE, managed=True))

        async with trio.open_nursery() as nursery:
            nursery.start_soon(later)
            await show.until(lambda counts: counts["managed"] == 1)
        show.result("a step", "done")
        show.summary()

    assert {"managed": 1} == show.count()
    assert "a step" in capsys.readouterr().out
