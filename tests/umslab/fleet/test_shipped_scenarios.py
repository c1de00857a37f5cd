# SPDX-License-Identifier: Apache-2.0
"""Each shipped scenario, whole but with few devices, in virtual time on the memory network."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
import trio

from tests.support.fleets import PASSWORD, fleet_in
from tests.support.lab import open_lab
from umslab.bench.scenarios import scale_for
from umslab.fleet.loading import load_scenario, shipped_names
from umslab_agent.fleet.report import judge_thresholds

if TYPE_CHECKING:
    from pathlib import Path

    from trio.testing import MockClock

    from umslab_agent.fleet.scenario import CommandWave

DEVICES = 6
LONGEST_SECONDS = 7200
"""Longer ones are scaled to it: idle sessions have their pings, also in virtual time."""


@pytest.mark.parametrize("name", shipped_names())
async def test_it_keeps_its_thresholds(autojump_clock: MockClock, tmp_path: Path, name: str) -> None:
    """All its phases happen, in their time, and every threshold that it has is met."""

    async def commander(_wave: CommandWave, unit_ids: list[str]) -> str:
        return f"{len(unit_ids)} SUCCESS"

    scenario = load_scenario(name, [("devices", DEVICES), ("time_scale", scale_for(name, DEVICES, LONGEST_SECONDS))])
    async with open_lab(tmp_path) as lab:
        await lab.mass_key()
        await lab.services.os11.accounts.create("ann", PASSWORD, actor="test")
        with fleet_in(lab, scenario, commander=commander) as ours:
            began = trio.current_time()
            await ours.fleet.run()
            lasted = trio.current_time() - began
            measured = ours.recorder.finish(lab.clock.monotonic())
    results = judge_thresholds(list(scenario.thresholds), measured)

    assert results
    assert [] == [one.text for one in results if not one.met]
    assert [phase.kind for phase in ours.fleet.plan.phases] == [phase.name for phase in measured.phases]
    assert ours.fleet.plan.seconds <= lasted
    assert [] == ours.fleet.notes
