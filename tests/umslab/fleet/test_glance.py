# SPDX-License-Identifier: Apache-2.0
"""What is read off a run, and how the glances of processes become one."""

from __future__ import annotations

from typing import TYPE_CHECKING

import trio

from tests.support.fleets import fleet_in
from tests.support.glances import GLANCE, glance_with
from tests.support.lab import open_lab
from umslab.fleet.glance import MOST_CAUSES, StepGlance, glance, together
from umslab_agent.fleet.recorder import Health
from umslab_agent.fleet.scenario import Flat, Onboard, Ramp, Scenario

if TYPE_CHECKING:
    from pathlib import Path

    from trio.testing import MockClock


async def test_a_glance_at_a_fleet(autojump_clock: MockClock, tmp_path: Path) -> None:
    """Half way through arrivals whose key is refused: who came, what failed, how the generator fares, time left."""
    scenario = Scenario(devices=10, arrivals=Ramp(seconds=10), phases=(Onboard(within_seconds=20),), retry=Flat())
    async with open_lab(tmp_path) as lab, trio.open_nursery() as nursery:
        with fleet_in(lab, scenario, auth_key="wrong") as ours:
            nursery.start_soon(ours.fleet.run)
            await trio.sleep(4.5)
            ours.recorder.sampled(Health(cpu=0.5, lag=0.01, memory=77, descriptors=9), lab.clock.monotonic())
            seen = glance(ours.recorder, ours.fleet, lab.clock.monotonic())
            ours.fleet.pause()
            paused = glance(ours.recorder, ours.fleet, lab.clock.monotonic() + 60)
            nursery.cancel_scope.cancel()

    assert (5, 5, False, 24.5) == (seen.due, seen.arrived, seen.paused, seen.left)
    assert {"tcp", "tls", "cacerts"} == set(seen.steps)
    assert seen.steps["tcp"].p50 <= seen.steps["tcp"].p90 <= seen.steps["tcp"].p99
    assert {"server: enrol key-refused 401": 5} == seen.causes
    assert (0.5, 0.01, 77) == (seen.cpu, seen.lag, seen.memory)
    assert (5, True, None) == (paused.due, paused.paused, paused.left)


def test_glances_of_processes_are_one() -> None:
    """Counts added up, of latencies and load the worst, the phase ends with the last; few causes remain."""
    other = glance_with(
        due=2,
        left=80.0,
        cpu=0.9,
        lag=0.001,
        steps={"managed": StepGlance(5, 0.3, 0.4, 0.5), "settings": StepGlance(1, 1, 1, 1)},
        causes={"server: enrol key-refused 401": 4} | {f"cause {number}": 1 for number in range(9)},
    )
    joined = together([GLANCE, other])

    assert (42, 74, 80.0, 2) == (joined.due, joined.arrived, joined.left, joined.processes)
    assert StepGlance(35, 0.3, 0.52, 1.5) == joined.steps["managed"]
    assert {"tcp", "managed", "settings"} == set(joined.steps)
    assert (7, MOST_CAUSES) == (joined.causes["server: enrol key-refused 401"], len(joined.causes))
    assert (0.9, 0.002, 180 * 2**20) == (joined.cpu, joined.lag, joined.memory)
    assert together([GLANCE, glance_with(left=None)]).left is None
