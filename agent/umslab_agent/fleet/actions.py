# SPDX-License-Identifier: Apache-2.0
"""What happens to which device in a phase, and when: drawn from the fleet's seed and the device's index."""

from __future__ import annotations

import random
from enum import StrEnum
from typing import TYPE_CHECKING, assert_never

from msgspec import Struct

from umslab_agent.fleet.scenario import CommandWave, Drain, Onboard, RenewalWave, Steady, Storm

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from umslab_agent.fleet.plan import PlannedDevice
    from umslab_agent.fleet.scenario import Behaviour, Phase

DAY_SECONDS = 86_400.0
MOST_ACTIONS = 1_000
"""Of one kind for one device in one phase; what is more is left out, evenly at the end."""


class Action(StrEnum):
    """What happens to a device."""

    REBOOT = "reboot"
    SUSPEND = "suspend"
    NETWORK_LOSS = "network-loss"
    POWER_LOSS = "power-loss"
    RENEW = "renew"
    SHUT_DOWN = "shut-down"


class PlannedAction(Struct, frozen=True, gc=False):
    """One thing that happens to one device."""

    at: float
    """Seconds from the start of the phase."""
    index: int
    action: Action
    seconds: float = 0.0
    """How long it is away."""


def actions_of(
    number: int, phase: Phase, devices: Sequence[PlannedDevice], behaviour: Behaviour, seed: int
) -> tuple[PlannedAction, ...]:
    """Return what happens to these devices in phase number `number`, in order of time.

    It depends on no other device, so that a shard has its part of the whole: `drain` knows the number of devices by
    the spread of their indexes.
    """
    found = sorted(_of_phase(number, phase, devices, behaviour, seed), key=lambda one: (one.at, one.index))
    return tuple(found)


def _of_phase(
    number: int, phase: Phase, devices: Sequence[PlannedDevice], behaviour: Behaviour, seed: int
) -> Iterator[PlannedAction]:
    match phase:
        case Onboard() | CommandWave():
            return
        case Steady(seconds=seconds):
            for device in devices:
                yield from _by_itself(number, device.index, seconds, behaviour, seed)
        case Storm():
            yield from _storm(number, phase, devices, behaviour, seed)
        case RenewalWave(spread_seconds=spread):
            for device in devices:
                if device.os11:
                    continue  # it has no certificate of the UMS
                at = spread * _chance(seed, number, device.index).random()
                yield PlannedAction(at, device.index, Action.RENEW)
        case Drain(spread_seconds=spread):
            for position, device in enumerate(devices):
                yield PlannedAction(spread * position / len(devices), device.index, Action.SHUT_DOWN)
        case _:
            assert_never(phase)


def _storm(
    number: int, storm: Storm, devices: Sequence[PlannedDevice], behaviour: Behaviour, seed: int
) -> Iterator[PlannedAction]:
    power = storm.cause == "power"
    away = storm.away_seconds + (behaviour.device.boot_seconds if power else 0.0)
    for device in devices:
        if is_at(device, storm.who) and power:
            late = storm.spread_seconds * _chance(seed, number, device.index).random()
            yield PlannedAction(0.0, device.index, Action.POWER_LOSS, away + late)
        elif is_at(device, storm.who):
            yield PlannedAction(0.0, device.index, Action.NETWORK_LOSS, away)


def is_at(device: PlannedDevice, who: str) -> bool:
    """Whether a device is one of `all`, of a site, or of a circuit `SITE/N`."""
    return who in {"all", device.site, f"{device.site}/{device.circuit}"}


def _by_itself(number: int, index: int, seconds: float, behaviour: Behaviour, seed: int) -> Iterator[PlannedAction]:
    boot = behaviour.device.boot_seconds
    kinds = (
        (Action.REBOOT, behaviour.reboots_per_day, boot),
        (Action.SUSPEND, behaviour.suspends_per_day, behaviour.suspend_seconds),
        (Action.NETWORK_LOSS, behaviour.network_losses_per_day, behaviour.network_loss_seconds),
    )
    for action, per_day, away in kinds:
        if per_day:
            chance = _chance(seed, number, index, action)
            at = chance.expovariate(per_day / DAY_SECONDS)
            for _ in range(MOST_ACTIONS):
                if at >= seconds:
                    break
                yield PlannedAction(at, index, action, away)
                at += away + chance.expovariate(per_day / DAY_SECONDS)


def _chance(seed: int, *what: object) -> random.Random:
    return random.Random(" ".join(("umslab action", str(seed), *map(str, what))))  # noqa: S311 - repeatable
