# SPDX-License-Identifier: Apache-2.0
"""One device of a fleet: what it is in the plan, how it is now, and the `Device` that lives its life.

Each runs in a scope of its own; whatever happens to it, also a defect of ours, is counted and ends nobody else.
"""

from __future__ import annotations

import traceback
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import trio
from msgspec import Struct

from umslab_agent.device import Device
from umslab_agent.fleet.door import Door
from umslab_agent.fleet.making import make_device
from umslab_agent.fleet.measured import Condition, Step
from umslab_agent.folder import DeviceFolder
from umslab_protocol.machines.device_life import (
    FallingAsleep,
    Rebooting,
    ShuttingDown,
    State,
)
from umslab_protocol.values.failure import Failure, Phase, Reason

if TYPE_CHECKING:
    from collections.abc import Callable

    from umslab_agent.behaviour import DeviceBehaviour
    from umslab_agent.discovery import Discovery
    from umslab_agent.fleet.plan import PlannedDevice
    from umslab_agent.fleet.recorder import Recorder
    from umslab_agent.fleet.scenario import Kind
    from umslab_agent.living import Change, LivingDevice
    from umslab_agent.nearby import Nowhere
    from umslab_agent.onboarding import World
    from umslab_agent.os11.registering import Wish
    from umslab_agent.shelf import Shelf
    from umslab_agent.trust import TrustMode
    from umslab_protocol.machines.device_life import Departure
    from umslab_protocol.machines.retrying import RetryPolicy
    from umslab_protocol.values.host_port import HostPort
    from umslab_runtime.network import Network
    from umslab_runtime.tracing import TracedStep

_CONDITIONS = {
    State.TRUSTING: Condition.ONBOARDING,
    State.PREPARING: Condition.ONBOARDING,
    State.ENROLLING: Condition.ONBOARDING,
    State.CONNECTING: Condition.ONBOARDING,
    State.RENEWING: Condition.ONBOARDING,
    State.REGISTERING: Condition.ONBOARDING,
    State.CONTACTING: Condition.ONBOARDING,
    State.ONLINE: Condition.CONNECTED,
    State.READY: Condition.CONNECTED,
    State.WAITING: Condition.OFFLINE,
    State.REBOOTING: Condition.OFFLINE,
    State.SUSPENDED: Condition.OFFLINE,
    State.OFF: Condition.OFFLINE,
    State.FACTORY: Condition.FAILED,
    State.RELEASED: Condition.FAILED,
    State.FAILED: Condition.FAILED,
}
_GONE = {State.REBOOTING, State.SUSPENDED, State.OFF}
_AWAY = {State.WAITING, *_GONE}


MOST_MOMENTS = 16
"""That a member remembers of its life; older ones are forgotten."""


class Moment(Struct, frozen=True, gc=False):
    """Something that became of a device: another condition, or a failed try."""

    at: float
    """Monotonic seconds."""
    condition: Condition
    """From now on."""
    phase: Phase | None = None
    """Of a failed try."""
    reason: Reason | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Os11Equipment:
    """What the OS 11 devices of a fleet are made with, beside what all have."""

    target: HostPort
    """The port that they call (G1)."""
    wish: Wish
    push_port: int
    """Where they are called, each at its own address."""
    nearby: Callable[[PlannedDevice], Nowhere]
    """Their places on the link."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Equipment:
    """What the devices of a fleet are made with."""

    world: World
    target: HostPort
    auth_key: str | None
    policy: RetryPolicy
    behaviour: DeviceBehaviour
    recorder: Recorder
    kinds: tuple[Kind, ...]
    trust: Callable[[Kind], TrustMode]
    network: Callable[[PlannedDevice], Network]
    shelf: Callable[[PlannedDevice], Shelf]
    discovery: Callable[[Kind], Discovery | None]
    os11: Os11Equipment | None = None
    """None: no device of the fleet runs OS 11."""


class Member:
    """One device; `run` it when it arrives."""

    __slots__ = (
        "_away_as_planned",
        "_broken",
        "_cut",
        "_device",
        "_door",
        "_due",
        "_equipment",
        "_failure",
        "_on_settled",
        "_power_at",
        "_scope",
        "_shelf",
        "_stopping",
        "_was_managed",
        "_way_began",
        "condition",
        "history",
        "planned",
    )

    def __init__(self, planned: PlannedDevice, equipment: Equipment, on_settled: Callable[[Member], None]) -> None:
        """`on_settled` is called whenever the device has become managed, or has ended."""
        self.planned = planned
        self.condition = Condition.PLANNED
        self.history: list[Moment] = []
        """The latest `MOST_MOMENTS`, in order of time."""
        self._equipment = equipment
        self._on_settled = on_settled
        self._device: LivingDevice | None = None
        self._door: Door | None = None
        self._shelf: Shelf | None = None
        self._scope: trio.CancelScope | None = None
        self._failure: Failure | None = None
        """The last one that was looked at, so that each is counted once."""
        self._due: float | None = None
        """When the next attempt was to begin."""
        self._way_began = 0.0
        """When the way to being managed was to begin."""
        self._power_at: float | None = None
        """When the power is back."""
        self._cut = False
        """Its session was broken on purpose, and it has not noticed yet."""
        self._broken = False
        """By a defect of ours."""
        self._away_as_planned = False
        """It is offline because the plan wants it."""
        self._was_managed = False
        self._stopping = False

    @property
    def alive(self) -> bool:
        """Whether it has arrived and not ended."""
        return self.condition not in {Condition.PLANNED, Condition.FAILED, Condition.STOPPED} and (
            self._scope is not None
        )

    @property
    def failure(self) -> Failure | None:
        """Of its last failed try."""
        return self._failure

    async def run(self, intended: float) -> None:
        """Live from the arrival, which was to be at `intended`, until the end."""
        self._due = self._way_began = intended
        self._move(Condition.ONBOARDING)
        ended: State | None = None
        try:
            ended = await self._live()
        except Exception as error:  # noqa: BLE001 - a defect ends this device and is counted, never the fleet
            self.broke(error)
        finally:
            self._device = self._scope = None
            self._end(State.FAILED if self._broken else ended)

    def broke(self, error: Exception) -> None:
        """Something that ran for the device raised: a defect of ours. It is counted once, and ends this device."""
        if not self._broken:
            self._broken = True
            self._record(_defect(error))
        self.cut_off()

    async def _live(self) -> State | None:
        """Return how it ended; None when it was cut off."""
        while True:
            self._device = self._make()
            with trio.CancelScope() as self._scope:
                return await self._device.run()
            if self._power_at is None:
                return None
            self._device = None
            self._cut = False
            self._move(Condition.OFFLINE)
            self._due, self._power_at = self._power_at, None
            with trio.CancelScope() as self._scope:
                await trio.sleep_until(self._due)
            if self._stopping:
                return State.OFF

    def _make(self) -> LivingDevice:
        equipment, planned = self._equipment, self.planned
        host = equipment.world.host.owned(self.broke)
        if self._door is None:
            self._door = Door(equipment.network(planned), equipment.world.clock)
            self._shelf = equipment.shelf(planned)
        assert self._shelf is not None  # noqa: S101 - made together with the door
        return make_device(
            equipment,
            planned,
            folder=DeviceFolder(self._shelf),
            door=self._door,
            world=replace(equipment.world, trace=self._trace, host=host),
            on_change=self._changed,
        )

    # What is done to it.

    def lose_network(self, seconds: float) -> None:
        """Break what it has open; it reaches nobody for so long, and nobody reaches it."""
        if self._door is not None and self._device is not None:
            self._door.closed_until = self._now() + seconds
            self._cut = self._device.cut()

    def lose_power(self, seconds: float) -> None:
        """Pull the plug; it boots after so long."""
        if self._scope is not None and self._device is not None:
            self._power_at = self._way_began = self._now() + seconds
            self._cut = self._away_as_planned = True
            self._device.cut()
            self._scope.cancel()

    def reboot(self, seconds: float) -> None:
        """Let it go down in order, and boot; back after so long."""
        self._depart(Rebooting(seconds), "rebooting")

    def suspend(self, seconds: float) -> None:
        """Let it sleep so long."""
        self._depart(FallingAsleep(seconds), "suspending")

    def _depart(self, departure: Departure, reason: str) -> None:
        if self._device is not None:
            self._cut = True  # a session that is just being opened ends like a failed one
            self._device.depart(departure, reason)

    def renew(self) -> bool:
        """Let it renew its certificate now; tells whether it could."""
        if not isinstance(self._device, Device) or self._device.state is not State.ONLINE:
            return False
        self._device.renew()
        return True

    def shut_down(self) -> None:
        """Let it say goodbye; the run ends for it."""
        self._stopping = True
        if self._device is not None:
            self._depart(ShuttingDown(None), "shutting down")
        elif self._scope is not None:
            self._scope.cancel()

    def cut_off(self) -> None:
        """End it, without a word when it has none left."""
        self._stopping = True
        if self._scope is not None:
            self._power_at = None
            self._scope.cancel()

    # What it tells.

    def _changed(self, change: Change) -> None:
        if change.failure is not None and change.failure is not self._failure:
            self._fail(change.failure)
        elif change.state in _GONE and not self._stopping:
            self._cut, self._away_as_planned = False, True
        condition = Condition.MANAGED if change.managed else _CONDITIONS[change.state]
        if change.state in _AWAY and change.wait is not None:
            self._due = self._now() + change.wait
            if change.state is not State.WAITING:
                self._way_began = self._due
        if condition is not Condition.FAILED and not (change.state is State.OFF and change.wait is None):
            self._move(condition)  # how it ended, `run` knows

    def _fail(self, failure: Failure) -> None:
        """Count a failure, unless the plan made it."""
        self._away_as_planned = self._cut or (self._door is not None and not self._door.is_open)
        self._cut = False
        if self._away_as_planned:
            self._failure = failure
        else:
            self._record(failure)

    def _record(self, failure: Failure) -> None:
        self._failure = failure
        now = self._now()
        self._remember(Moment(now, self.condition, failure.phase, failure.reason))
        self._equipment.recorder.failed(failure, now)

    def _remember(self, moment: Moment) -> None:
        if len(self.history) == MOST_MOMENTS:
            del self.history[0]
        self.history.append(moment)

    def _trace(self, step: TracedStep, began: float) -> None:
        due, self._due = self._due, None
        intended = min(due, began) if due is not None and step == "tcp" else None
        self._equipment.recorder.step(Step(step), began, self._now(), intended=intended)

    def _move(self, condition: Condition) -> None:
        if condition is self.condition:
            return
        before, self.condition, now = self.condition, condition, self._now()
        self._remember(Moment(now, condition))
        self._equipment.recorder.moved(before, condition, now)
        if before is Condition.MANAGED and self._way_began < now:
            self._way_began = now
        if condition is Condition.MANAGED:
            self._cut = self._away_as_planned = False
            self._equipment.recorder.managed(self._way_began, now, first=not self._was_managed)
            self._was_managed = True
            self._on_settled(self)

    def _end(self, ended: State | None) -> None:
        if ended in {State.FAILED, State.RELEASED, State.FACTORY}:
            self._move(Condition.FAILED)
        elif self.condition is not Condition.OFFLINE or (self._stopping and self._away_as_planned):
            self._move(Condition.STOPPED if self._stopping or ended is None else Condition.OFFLINE)
        self._on_settled(self)

    def _now(self) -> float:
        return self._equipment.world.clock.monotonic()


def _defect(error: Exception) -> Failure:
    """A defect of ours as a failure: what, and where in our code."""
    frames = traceback.extract_tb(error.__traceback__)
    where = f" at {frames[-1].filename.rpartition('/')[2]}:{frames[-1].lineno}" if frames else ""
    return Failure(Phase.START, Reason.DEFECT, f"{type(error).__name__}: {error}{where}", "please report this")
