# SPDX-License-Identifier: Apache-2.0
"""What happens to devices in a phase: to whom, how often, when, and always the same from one seed."""

from __future__ import annotations

import pytest

from umslab_agent.behaviour import DeviceBehaviour
from umslab_agent.fleet.actions import Action, PlannedAction, actions_of
from umslab_agent.fleet.plan import PlannedDevice, make_plan
from umslab_agent.fleet.scenario import (
    Behaviour,
    CommandWave,
    Drain,
    Kind,
    Onboard,
    Phase,
    RenewalWave,
    Scenario,
    Site,
    Steady,
    Storm,
)

DAY = 86_400.0


def _devices(count: int = 40) -> tuple[PlannedDevice, ...]:
    return make_plan(Scenario(devices=count, sites=(Site(name="a", circuits=2), Site(name="b")))).devices


def _actions(phase: Phase, behaviour: Behaviour | None = None, *, seed: int = 1) -> tuple[PlannedAction, ...]:
    return actions_of(2, phase, _devices(), behaviour or Behaviour(), seed)


@pytest.mark.parametrize("phase", [Onboard(), CommandWave(), Steady(seconds=DAY)])
def test_nothing_happens_by_itself(phase: Phase) -> None:
    """Without a behaviour nobody reboots."""
    assert () == _actions(phase)


@pytest.mark.parametrize(
    ("key", "action", "away"),
    [
        ("reboots_per_day", Action.REBOOT, 17.0),
        ("suspends_per_day", Action.SUSPEND, 60.0),
        ("network_losses_per_day", Action.NETWORK_LOSS, 3.0),
    ],
)
def test_behaviour_has_its_rate(key: str, action: Action, away: float) -> None:
    """As often as said on average, for as long as said, at any time of the day."""
    behaviour = Behaviour(
        suspend_seconds=60, network_loss_seconds=3, device=DeviceBehaviour(boot_seconds=17), **{key: 50.0}
    )
    actions = _actions(Steady(seconds=DAY), behaviour)

    assert 50 == pytest.approx(len(actions) / 40, rel=0.1)
    assert {(action, away)} == {(one.action, one.seconds) for one in actions}
    assert 0.5 == pytest.approx(sum(one.at for one in actions) / len(actions) / DAY, rel=0.1)
    assert list(actions) == sorted(actions, key=lambda one: one.at)


@pytest.mark.parametrize(
    ("who", "places"),
    [
        ("all", {("a", 1), ("a", 2), ("b", 1)}),
        ("a", {("a", 1), ("a", 2)}),
        ("a/2", {("a", 2)}),
        ("b", {("b", 1)}),
    ],
)
def test_a_storm_hits_a_place(who: str, places: set[tuple[str, int]]) -> None:
    """All, a site, or one of its power circuits; everybody there at the same moment."""
    devices = {device.index: device for device in _devices()}
    actions = _actions(Storm(who=who, away_seconds=4))
    hit = {one.index for one in actions}

    assert places == {(devices[index].site, devices[index].circuit) for index in hit}
    assert {index for index, one in devices.items() if (one.site, one.circuit) in places} == hit
    assert {(0.0, Action.NETWORK_LOSS, 4.0)} == {(one.at, one.action, one.seconds) for one in actions}


def test_after_a_power_loss_devices_boot_each_in_its_time() -> None:
    """The outage, the boot, and up to the spread by chance."""
    behaviour = Behaviour(device=DeviceBehaviour(boot_seconds=30))
    actions = _actions(Storm(cause="power", away_seconds=10, spread_seconds=20), behaviour)
    away = [one.seconds for one in actions]

    assert {Action.POWER_LOSS} == {one.action for one in actions}
    assert 40 <= min(away) < max(away) < 60
    assert 50 == pytest.approx(sum(away) / len(away), rel=0.1)


def test_renewals_are_spread() -> None:
    """Over the time that is said; at once without."""
    spread = [one.at for one in _actions(RenewalWave(spread_seconds=10))]

    assert 0 <= min(spread) < 3
    assert 7 < max(spread) < 10
    assert {0.0} == {one.at for one in _actions(RenewalWave())}


def test_a_drain_is_even() -> None:
    """One goodbye after the other."""
    actions = _actions(Drain(spread_seconds=20))

    assert [number / 2 for number in range(40)] == [one.at for one in actions]
    assert {Action.SHUT_DOWN} == {one.action for one in actions}


def test_chance_comes_from_seed_device_and_phase() -> None:
    """Another seed, and another phase of the same kind, are another story."""
    phase, behaviour = Steady(seconds=DAY), Behaviour(reboots_per_day=2)
    devices = _devices()

    assert _actions(phase, behaviour) == _actions(phase, behaviour)
    assert _actions(phase, behaviour) != _actions(phase, behaviour, seed=2)
    assert _actions(phase, behaviour) != actions_of(3, phase, devices, behaviour, 1)


def test_os11_devices_renew_nothing() -> None:
    """They have no certificate of the UMS; storms are for them too."""
    devices = make_plan(Scenario(devices=10, mix=(Kind(os=11), Kind()))).devices
    renewed = {one.index for one in actions_of(2, RenewalWave(), devices, Behaviour(), 1)}

    assert {device.index for device in devices if not device.os11} == renewed
    assert 10 == len(actions_of(2, Storm(), devices, Behaviour(), 1))
