# SPDX-License-Identifier: Apache-2.0
"""What a shard tells of itself."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.support.fleets import fleet_in
from tests.support.lab import open_lab
from umslab.fleet.moment import told_now
from umslab_agent.fleet.scenario import Scenario

if TYPE_CHECKING:
    from pathlib import Path

    from trio.testing import MockClock


async def test_more_for_who_looks_closely(autojump_clock: MockClock, tmp_path: Path) -> None:
    """Levels and seconds always, before the first phase too; the rest only on request."""
    async with open_lab(tmp_path) as lab:
        with fleet_in(lab, Scenario(devices=3)) as ours:
            now = lab.clock.monotonic() + 7
            plain, close = (told_now(ours.recorder, ours.fleet, now, closely=closely) for closely in (False, True))

    assert (3, "", 0, 7) == ((plain.levels or {})["planned"], plain.phase, plain.failures, plain.seconds)
    assert plain.glance is None
    assert close.glance is not None
    assert (0, {}, {}) == (close.glance.arrived, close.glance.steps, close.glance.causes)
