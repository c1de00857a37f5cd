# SPDX-License-Identifier: Apache-2.0
"""A scenario is typed: what it means is taken, what it cannot mean is refused with the key's name."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from umslab_agent.behaviour import DeviceBehaviour
from umslab_agent.fleet.scenario import (
    AtOnce,
    Behaviour,
    Drain,
    Exponential,
    Flat,
    Kind,
    Onboard,
    Poisson,
    Ramp,
    Replay,
    Scenario,
    Site,
    Steady,
    Storm,
    in_real_time,
)
from umslab_protocol.values.firmware import DEFAULT_FIRMWARE, FirmwareVersion


def _read(**keys: Any) -> Scenario:
    return msgspec.convert(keys, Scenario)


def test_nothing_said_is_a_small_fleet() -> None:
    """Ten devices of one kind within ten seconds."""
    scenario = _read()

    assert (10, (Kind(),), Ramp(seconds=10), (Onboard(),)) == (
        scenario.devices,
        scenario.mix,
        scenario.arrivals,
        scenario.phases,
    )


def test_parts_have_their_kinds() -> None:
    """`kind` says which arrivals, phase or retry policy it is."""
    scenario = _read(
        arrivals={"kind": "at-once"},
        phases=[{"kind": "onboard"}, {"kind": "storm", "cause": "power"}, {"kind": "drain"}],
        retry={"kind": "flat", "seconds": 3},
    )

    assert AtOnce() == scenario.arrivals
    assert (Onboard(), Storm(cause="power"), Drain()) == scenario.phases
    assert Flat(seconds=3) == scenario.retry


@pytest.mark.parametrize(
    ("keys", "word"),
    [
        ({"device": 5}, "device"),
        ({"devices": 0}, "devices"),
        ({"devices": 10**9}, "devices"),
        ({"mix": []}, "mix"),
        ({"mix": [{"os": 10}]}, "mix"),
        ({"mix": [{"os": 11, "firmware": "12.8.4"}]}, "firmware: 12.8.4 is not one of OS 11"),
        ({"mix": [{"firmware": "new"}]}, "mix"),
        ({"mix": [{"model": "M8"}]}, "model: one of"),
        ({"mix": [{"weight": 0}]}, "weight"),
        ({"sites": [{"name": "a/b"}]}, "name"),
        ({"sites": [{"name": "a"}, {"name": "a"}]}, "sites: two"),
        ({"sites": [{"name": "a", "structure_tag": "x\n"}]}, "sites"),
        ({"addresses": ["127.0.0.300"]}, "addresses: "),
        ({"arrivals": {"kind": "slowly"}}, "slowly"),
        ({"arrivals": {"kind": "ramp", "secs": 3}}, "secs"),
        ({"arrivals": {"kind": "replay"}}, "either file or seconds"),
        ({"arrivals": {"kind": "replay", "seconds": [1.0]}, "devices": 2}, "1 are recorded for 2"),
        ({"arrivals": {"kind": "poisson"}}, "per_second"),
        ({"phases": []}, "phases"),
        ({"phases": [{"kind": "steady", "seconds": 1}]}, "the first one is onboard"),
        ({"phases": [{"kind": "onboard"}, {"kind": "onboard"}]}, "and no other"),
        ({"phases": [{"kind": "onboard"}, {"kind": "drain"}, {"kind": "steady", "seconds": 1}]}, "drain is the last"),
        ({"phases": [{"kind": "onboard"}, {"kind": "storm", "who": "x"}]}, "no site 'x'"),
        (
            {"sites": [{"name": "a", "circuits": 2}], "phases": [{"kind": "onboard"}, {"kind": "storm", "who": "a/3"}]},
            "a/1 to a/2",
        ),
        ({"behaviour": {"reboots": 3}}, "reboots"),
        ({"behaviour": {"device": {"boot": 3}}}, "boot"),
        ({"retry": {"kind": "exponential", "jitter": 2}}, "jitter"),
        ({"thresholds": ["managed is good"]}, "thresholds: "),
        ({"time_scale": 0}, "time_scale"),
    ],
)
def test_what_cannot_be_is_refused(keys: dict[str, Any], word: str) -> None:
    """One error that names it."""
    with pytest.raises(msgspec.ValidationError, match=word):
        _read(**keys)


@pytest.mark.parametrize("os", [11, 12])
def test_firmware_follows_the_os(os: int) -> None:
    """A kind without firmware has the usual one; its own otherwise."""
    assert os == _read(mix=[{"os": os}]).mix[0].runs.major
    assert DEFAULT_FIRMWARE == Kind().runs
    assert FirmwareVersion(12, 4, 1) == Kind(firmware="12.4.1").runs


def test_real_time_divides_times_and_multiplies_rates() -> None:
    """An hour in a minute: whatever is a time or a rate, in every part, and nothing else."""
    scenario = Scenario(
        devices=7,
        time_scale=60,
        arrivals=Poisson(per_second=2),
        sites=(Site(name="a", offset_seconds=120),),
        phases=(Onboard(within_seconds=60), Steady(seconds=3600), Storm(away_seconds=30, spread_seconds=6)),
        behaviour=Behaviour(
            reboots_per_day=1,
            suspend_seconds=600,
            device=DeviceBehaviour(boot_seconds=30, log_ons_per_day=2, clock_skew_seconds=60, app_failure=0.5),
        ),
        retry=Exponential(first_seconds=6, factor=2, most_seconds=60, jitter=0.5),
    )
    real = in_real_time(scenario)

    assert (7, 1, Poisson(per_second=120)) == (real.devices, real.time_scale, real.arrivals)
    assert 2 == real.sites[0].offset_seconds
    assert (Onboard(within_seconds=1), Steady(seconds=60)) == real.phases[:2]
    assert Storm(away_seconds=0.5, spread_seconds=0.1, within_seconds=5) == real.phases[2]
    assert (60, 10) == (real.behaviour.reboots_per_day, real.behaviour.suspend_seconds)
    device = real.behaviour.device
    assert (0.5, 120, 60, 0.5) == (
        device.boot_seconds,
        device.log_ons_per_day,
        device.clock_skew_seconds,
        device.app_failure,
    )
    assert Exponential(first_seconds=0.1, factor=2, most_seconds=1, jitter=0.5) == real.retry
    assert (
        Replay(seconds=(0.0, 1.0))
        == in_real_time(Scenario(devices=2, time_scale=10, arrivals=Replay(seconds=(0, 10)))).arrivals
    )


def test_real_time_of_real_time_is_the_same() -> None:
    """Scaled once, not twice."""
    real = in_real_time(Scenario(time_scale=5))

    assert real == in_real_time(real)
