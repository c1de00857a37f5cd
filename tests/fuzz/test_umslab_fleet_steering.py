# SPDX-License-Identifier: Apache-2.0
"""Whatever is asked of a fleet is answered, or refused with a sentence."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.support.fleets import fleet_in
from tests.support.lab import open_lab
from umslab.fleet.steering import Steering
from umslab_agent.fleet.scenario import Scenario
from umslab_runtime.control import ControlError

if TYPE_CHECKING:
    from pathlib import Path

NAMES = st.sampled_from(["status", "pause", "resume", "rate", "disconnect", "device"]) | st.text(max_size=8)
VALUES = (
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=50) | st.lists(st.integers(), max_size=2)
)
ARGUMENTS = st.dictionaries(st.sampled_from(["per_second", "who", "seconds", "device", "x"]), VALUES, max_size=3)


async def test_requests_of_any_kind(tmp_path: Path) -> None:
    """Nothing but `ControlError` comes out, and nobody arrives by it."""
    async with open_lab(tmp_path) as lab:
        with fleet_in(lab, Scenario(devices=3)) as ours:
            steering = Steering(ours.fleet, ours.recorder, lab.clock.monotonic, most_per_second=5)

            @settings(deadline=None, max_examples=100, suppress_health_check=[HealthCheck.function_scoped_fixture])
            @given(NAMES, ARGUMENTS)
            def ask(name: str, arguments: dict[str, object]) -> None:
                with suppress(ControlError):
                    assert isinstance(steering.answer(name, arguments), dict)

            ask()
            left = ours.fleet.pacing.left

    assert 3 == left
