# SPDX-License-Identifier: Apache-2.0
"""What a device has and what happens on it depends on seed, boot and time, and on nothing else."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from umslab_agent import inventory
from umslab_agent.persona import derive_persona
from umslab_protocol.values.firmware import DEFAULT_FIRMWARE

NOW = datetime(2026, 3, 4, 5, 6, 7, tzinfo=UTC)
DAY = timedelta(days=1)
PERSONA = derive_persona(1, 1, firmware=DEFAULT_FIRMWARE, structure_tag="HQ")


def _info(seed: str = "1", *, now: datetime = NOW, tag: str = "", rate: float = 0.0) -> object:
    return inventory.device_info(PERSONA, seed, structure_tag=tag, booted_at=NOW - DAY, now=now, changes_per_day=rate)


def test_information_is_a_function_of_the_seed() -> None:
    """Equal seeds, equal devices; another seed, another one somewhere among a few."""
    assert _info() == _info(now=NOW + DAY)
    assert len({str(_info(str(seed))) for seed in range(10)}) > 3


def test_the_structure_tag_of_the_settings_comes_first() -> None:
    """Without one the persona's stays (6.2)."""
    assert "umsStructuralTag='HQ'" in str(_info())
    assert "umsStructuralTag='LAB'" in str(_info(tag="LAB"))


def test_the_next_change_changes_something_in_the_end() -> None:
    """Just before it nothing has changed; over many changes something has."""
    at, seen = NOW, {str(_info(rate=3))}
    for _ in range(9):
        following = inventory.next_info_change("1", at, 3)
        assert following is not None
        assert timedelta() < following - at <= DAY / 3 + timedelta(seconds=2)
        assert _info(now=at, rate=3) == _info(now=following - timedelta(seconds=2), rate=3)
        at = following
        seen.add(str(_info(now=at, rate=3)))

    assert len(seen) > 1
    assert None is inventory.next_info_change("1", NOW, 0)


def test_runtime() -> None:
    """Up since the boot, used for a share of it, in milliseconds; a battery only when there is one."""
    told = inventory.runtime("1", boot=1, booted_at=NOW - DAY, now=NOW, battery=False)
    levels = {
        inventory.runtime("1", boot=1, booted_at=NOW, now=NOW + timedelta(minutes=m), battery=True).batteryLevel
        for m in range(0, 600, 7)
    }

    assert "86400000" == told.totalUptime
    assert 0 < int(told.totalUsagetime) < 86_400_000
    assert -1 == told.batteryLevel
    assert 0 <= min(levels) < 40
    assert 80 < max(levels) <= 100


def test_a_calendar_that_was_set_back() -> None:
    """Up for nothing, not for less than nothing."""
    assert "0" == inventory.runtime("1", boot=1, booted_at=NOW, now=NOW - DAY, battery=False).totalUptime


@pytest.mark.parametrize("kind", [inventory.log_ons, inventory.asset_events])
def test_events_do_not_depend_on_how_one_asks(kind: object) -> None:
    """A week asked for at once, or hour by hour: the same events in order, none twice, at about the rate."""
    assert callable(kind)
    whole = kind("1", 4.0, NOW, NOW + 7 * DAY)
    pieces = [
        entry
        for hour in range(7 * 24)
        for entry in kind("1", 4.0, NOW + timedelta(hours=hour), NOW + timedelta(hours=hour + 1))
    ]

    assert whole == pieces
    assert sorted(whole, key=lambda entry: entry[0]) == whole
    assert 40 <= len(whole) <= 72
    assert [] == kind("1", 0.0, NOW, NOW + 7 * DAY)
    assert whole != kind("2", 4.0, NOW, NOW + 7 * DAY)


def test_a_rate_below_one() -> None:
    """Half an event a day is about one every two days."""
    begun = [event for _, event in inventory.log_ons("1", 0.5, NOW, NOW + 100 * DAY) if not event.logofftime]

    assert 35 <= len(begun) <= 65


def test_who_logs_on_logs_off() -> None:
    """The second event names the time of the first, in the documented form."""
    events = [event for _, event in inventory.log_ons("1", 4.0, NOW, NOW + 2 * DAY)]
    offs = [event for event in events if event.logofftime]

    assert all(len(event.logintime) == len("2026-01-01 00:00:00.000") for event in events)
    assert any(event.logintime in {on.logintime for on in events if not on.logofftime} for event in offs)


def test_what_is_plugged_in_at_boot() -> None:
    """Two things, when the device has any traffic of assets at all."""
    events = inventory.assets_at_boot(1.0, NOW)

    assert ["add_on_boot", "add_on_boot"] == [str(event.event) for _, event in events]
    assert int(NOW.timestamp() * 1_000) == events[0][1].eventTimeStamp
    assert [] == inventory.assets_at_boot(0.0, NOW)


def test_licences() -> None:
    """One: valid into a later year, expired since an earlier one, or not there."""
    valid, expired, missing = (inventory.licences("1", NOW, state)[0] for state in ("valid", "expired", "missing"))

    assert ("valid", "expired", "missing") == (valid.state, expired.state, missing.state)
    assert expired.validUntil < "2026"
    assert valid.validUntil > "2027"
    assert "" == missing.validUntil
