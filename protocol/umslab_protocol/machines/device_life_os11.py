# SPDX-License-Identifier: Apache-2.0
"""The life of one OS 11 device as a workflow machine, in the dialect of device_life.py.

A device without the certificate of its UMS registers (G8, G9, A2); one that has it contacts that server at boot (G2),
after every change of its network (G3) and when it has something to tell, and is `ready` in between: nothing is open,
and the server calls when it wants something (G1). Calls of the server are no events here, except what they order: to go
away (J2), or to forget the server.

Documented is what leads to a contact; back-off and what counts as worth another try are those of OS 12 (ours, L12).
What an OS 11 device does when its server calls it unknown is documented nowhere (the release rule, L5, is one of OS
12.8.4). We assume that it keeps its pin and asks again: only a server that has proved the device's key, or a reset,
makes it forget. A server that presents another certificate than the pin is never accepted, however often it is tried
(G9, G12).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, assert_never

from umslab_protocol.machines.device_life import (
    DEPARTURES,
    Command,
    Departure,
    Deregistered,
    State,
    StepFailed,
    WokenUp,
)
from umslab_protocol.machines.retrying import MAY_PASS
from umslab_protocol.machines.transitions import TableMachine

if TYPE_CHECKING:
    from collections.abc import Callable

    from umslab_protocol.machines.retrying import RetryPolicy
    from umslab_protocol.values.failure import Failure


@dataclass(frozen=True, slots=True)
class Os11Booted:
    """The device starts with what its folder holds."""

    registered: bool
    """It has the certificate of its UMS."""


@dataclass(frozen=True, slots=True)
class Registered:
    """The server has registered it, and its certificate is kept; the contact goes on."""


@dataclass(frozen=True, slots=True)
class Contacted:
    """The server knows what the device is, and the device what it is to have."""


@dataclass(frozen=True, slots=True)
class NetworkChanged:
    """A network adapter has changed (G3)."""


@dataclass(frozen=True, slots=True)
class ReportDue:
    """There is something to tell."""


Os11Event = (
    Os11Booted
    | Registered
    | Contacted
    | NetworkChanged
    | ReportDue
    | StepFailed
    | Deregistered
    | Departure
    | WokenUp
)  # fmt: skip

S = State

# The transition table: from a state, by an event, to one of these states.
TRANSITIONS: dict[State, dict[type[Os11Event], tuple[State, ...]]] = {
    S.OFF: {
        Os11Booted: (S.REGISTERING, S.CONTACTING),
        StepFailed: (S.FAILED,),  # what the folder holds is damaged
        WokenUp: (S.OFF,),  # which commands to boot
    },
    S.REGISTERING: {Registered: (S.CONTACTING,), StepFailed: (S.WAITING, S.FAILED)},
    S.CONTACTING: {
        Contacted: (S.READY,),
        StepFailed: (S.WAITING, S.FAILED),
        Deregistered: (S.RELEASED,),
        **DEPARTURES,
    },
    S.READY: {
        NetworkChanged: (S.CONTACTING,),
        ReportDue: (S.CONTACTING,),
        Deregistered: (S.RELEASED,),
        **DEPARTURES,
    },
    S.WAITING: {
        NetworkChanged: (S.REGISTERING, S.CONTACTING),
        Deregistered: (S.RELEASED,),
        **DEPARTURES,
    },
    S.REBOOTING: {WokenUp: (S.OFF,)},
    S.SUSPENDED: {WokenUp: (S.CONTACTING,)},
    S.FACTORY: {WokenUp: (S.OFF,)},
    S.RELEASED: {},
    S.FAILED: {},
}


class Os11DeviceLife(TableMachine[Os11Event]):
    """See the module's docstring. Chance is a callable as for `DeviceLife`."""

    transitions = TRANSITIONS

    def __init__(self, policy: RetryPolicy, *, chance: Callable[[], float]) -> None:
        self._policy = policy
        self._chance = chance
        self._attempt = 0
        self._wake_at: float | None = None
        self._resume = Command.CONTACT
        self._report_at: float | None = None
        self.state = State.OFF
        self.failure: Failure | None = None
        """The last failure; stays for the record after a later success."""

    def report_at(self, moment: float | None) -> None:
        """Contact the server at this time, on the clock of `now`, if the device is ready then; None for never."""
        self._report_at = moment

    def deadline(self) -> float | None:
        """When to call `on_deadline`; None for never."""
        return self._report_at if self.state is State.READY else self._wake_at

    def on_deadline(self, now: float) -> list[Command]:
        """A wait is over, or there is something to tell: go on."""
        deadline = self.deadline()
        if deadline is None or now < deadline:
            return []
        return self._begin(Command.CONTACT if self.state is State.READY else self._resume)

    def _react(self, event: Os11Event, now: float) -> list[Command]:
        match event:
            case Os11Booted():
                self._attempt = 0
                return self._begin(Command.CONTACT if event.registered else Command.REGISTER)
            case Registered():
                self.state, self._attempt = State.CONTACTING, 0
                return []  # the session of the registration is the first contact
            case Contacted():
                self.state, self._attempt, self._report_at = State.READY, 0, None
                return []
            case NetworkChanged():
                return self._begin(self._resume if self.state is State.WAITING else Command.CONTACT)
            case ReportDue():
                return self._begin(Command.CONTACT)
            case StepFailed():
                return self._fail(event.failure, now)
            case Deregistered():
                self.state, self._wake_at = State.RELEASED, None
                return [Command.FORGET]
            case WokenUp():
                return self._begin(Command.CONTACT if self.state is State.SUSPENDED else Command.BOOT)
            case Departure():
                return self._depart(event, now)
        assert_never(event)

    def _begin(self, command: Command) -> list[Command]:
        self.state, self._wake_at, self._report_at = _STATE_OF[command], None, None
        return [command]

    def _depart(self, event: Departure, now: float) -> list[Command]:
        """Go away, and set the alarm for coming back."""
        (self.state,) = DEPARTURES[type(event)]
        self._wake_at = None if event.seconds is None else now + event.seconds
        self._resume = Command.CONTACT if self.state is State.SUSPENDED else Command.BOOT
        return [Command.FORGET] if self.state is State.FACTORY else []

    def _fail(self, failure: Failure, now: float) -> list[Command]:
        self.failure = failure
        may_pass = self._policy.onboarding and failure.reason in MAY_PASS
        again = Command.CONTACT if self.state is State.CONTACTING else Command.REGISTER
        if not (self._policy.connection if again is Command.CONTACT else may_pass) or self.state is State.OFF:
            self.state, self._wake_at = State.FAILED, None
            return []
        self._attempt += 1
        wait = max(0.0, failure.retry_after or 0.0) + self._policy.wait(self._attempt, self._chance())
        self.state, self._wake_at, self._resume = State.WAITING, now + wait, again
        return []


_STATE_OF = {Command.BOOT: State.OFF, Command.REGISTER: State.REGISTERING, Command.CONTACT: State.CONTACTING}
