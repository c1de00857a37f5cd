# SPDX-License-Identifier: Apache-2.0
"""What the parts of a device share."""

from __future__ import annotations

from datetime import UTC, datetime

from umslab_agent.behaviour import DeviceBehaviour
from umslab_agent.persona import derive_persona
from umslab_agent.unit import stamp, unit_seed
from umslab_protocol.values.firmware import DEFAULT_FIRMWARE


def test_devices_of_a_fleet_have_seeds_of_their_own() -> None:
    """Though all have the fleet's number; the behaviour's number comes first."""
    one, two = (derive_persona(5, index, firmware=DEFAULT_FIRMWARE) for index in (1, 2))

    assert unit_seed(one, DeviceBehaviour()) != unit_seed(two, DeviceBehaviour())
    assert unit_seed(one, DeviceBehaviour()) == unit_seed(one, DeviceBehaviour(seed=5))
    assert unit_seed(one, DeviceBehaviour()) != unit_seed(one, DeviceBehaviour(seed=6))


def test_times_are_written_as_the_server_writes_them() -> None:
    """With milliseconds, in UTC."""
    assert "2026-11-21T20:40:00.123Z" == stamp(datetime(2026, 11, 21, 20, 40, 0, 123_999, tzinfo=UTC))
