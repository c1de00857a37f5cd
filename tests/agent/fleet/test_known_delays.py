# SPDX-License-Identifier: Apache-2.0
"""Whole fleets against a server whose every delay is known: what they report is what queueing says, to the hop."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.support.fleets import fleet_in
from tests.support.lab import open_lab
from umslab_agent.fleet.measured import Step
from umslab_agent.fleet.scenario import AtOnce, ConstantRate, Onboard, Scenario
from umslab_server.service_model import Distribution, ServiceModel, ServiceTime, ServiceTimes

if TYPE_CHECKING:
    from pathlib import Path

    from trio.testing import MockClock

    from umslab_agent.fleet.measured import StepTimes
    from umslab_agent.fleet.scenario import Arrivals

DEVICES = 20
ENROLS = 2.0
"""Seconds that the one worker of the server takes for an enrolment; it takes none for anything else."""
HOPS = 1.0
"""Seconds that connections and messages take, at most for all devices together."""
NOTHING = ServiceTime(mean=0.0, distribution=Distribution.CONSTANT)
SLOW = ServiceModel(
    workers=1,
    times=ServiceTimes(
        enrol=ServiceTime(mean=ENROLS, distribution=Distribution.CONSTANT),
        **dict.fromkeys(("cacerts", "connect", "hello", "system_information", "settings", "report"), NOTHING),
    ),
)


async def _steps(path: Path, arrivals: Arrivals, outstanding: int = 0) -> dict[Step, StepTimes]:
    scenario = Scenario(devices=DEVICES, arrivals=arrivals, outstanding=outstanding, phases=(Onboard(),))
    async with open_lab(path, service_model=SLOW) as lab:
        await lab.mass_key()
        with fleet_in(lab, scenario) as ours:
            await ours.fleet.run()
    assert DEVICES == ours.recorder.measured.managed_once
    return ours.recorder.measured.steps


async def test_all_at_once(autojump_clock: MockClock, tmp_path: Path) -> None:
    """The k-th enrolment waits for k - 1 others: 2, 4, ... 40 s. What devices ask next stands behind all of them."""
    steps = await _steps(tmp_path, AtOnce())

    for number in range(1, DEVICES + 1):
        percent = 100 * number / DEVICES
        assert steps[Step.ENROL].latency.percentile(percent) == pytest.approx(ENROLS * number, abs=HOPS)
        assert steps[Step.MANAGED].latency.percentile(percent) == pytest.approx(ENROLS * DEVICES, abs=HOPS)
    assert ENROLS > steps[Step.TLS].latency.maximum


async def test_a_generator_that_waits_omits_nothing(autojump_clock: MockClock, tmp_path: Path) -> None:
    """One device a second is to come, each is let in when the one before is managed, and that takes two seconds.

    The server is asked in peace and needs two seconds for each. But the k-th device was to begin after k - 1 seconds,
    and is managed after 2 k: that is its latency, as coordinated omission would have it forgotten.
    """
    steps = await _steps(tmp_path, ConstantRate(per_second=1), outstanding=1)

    for number in range(1, DEVICES + 1):
        percent = 100 * number / DEVICES
        assert steps[Step.ENROL].latency.percentile(percent) == pytest.approx(ENROLS, abs=HOPS)
        waited = ENROLS * number - (number - 1)
        assert steps[Step.MANAGED].latency.percentile(percent) == pytest.approx(waited, abs=HOPS)
