# SPDX-License-Identifier: Apache-2.0
"""Ways into every state of a device's life, and playbooks: event in, commands out."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from umslab_protocol.machines.device_life import (
    RELEASE_DELAY,
    Booted,
    Command,
    Connected,
    Deregistered,
    DeviceLife,
    Disconnected,
    Enrolled,
    Event,
    FallingAsleep,
    Rebooting,
    RenewalChecked,
    RequestReady,
    Resetting,
    ShuttingDown,
    State,
    StepFailed,
    TrustEstablished,
    WokenUp,
)
from umslab_protocol.machines.retrying import RetryPolicy
from umslab_protocol.values.failure import Failure, Phase, Reason

if TYPE_CHECKING:
    from collections.abc import Callable

BLANK = Booted(enrolled=False, trusted=False, request_pending=False, renewal_due=False)
TRUSTING_ALREADY = Booted(enrolled=False, trusted=True, request_pending=False, renewal_due=False)
ASKED_ALREADY = Booted(enrolled=False, trusted=True, request_pending=True, renewal_due=False)
ASKED_WITHOUT_TRUST = Booted(enrolled=False, trusted=False, request_pending=True, renewal_due=False)
ON_BOARD = Booted(enrolled=True, trusted=True, request_pending=False, renewal_due=False)
RENEWAL_DUE = Booted(enrolled=True, trusted=True, request_pending=False, renewal_due=True)

UNREACHABLE = Failure(Phase.CONNECT, Reason.UNREACHABLE, "no route")
UNKNOWN = Failure(Phase.CONNECT, Reason.UNKNOWN_DEVICE, "HTTP 410")
REFUSED = Failure(Phase.ENROL, Reason.KEY_REFUSED, "HTTP 401")
APPROVAL = Failure(Phase.ENROL, Reason.AWAITING_APPROVAL, "HTTP 202", retry_after=60.0)
LOST = Failure(Phase.SESSION, Reason.LOST, "the session ended")

ROUTES: dict[State, list[list[Event]]] = {
    State.OFF: [[]],
    State.TRUSTING: [[BLANK], [ASKED_WITHOUT_TRUST]],
    State.PREPARING: [[TRUSTING_ALREADY]],
    State.ENROLLING: [[ASKED_ALREADY]],
    State.CONNECTING: [[ON_BOARD]],
    State.ONLINE: [[ON_BOARD, Connected()]],
    State.RENEWING: [[RENEWAL_DUE]],
    State.WAITING: [[ON_BOARD, StepFailed(UNREACHABLE)]],
    State.REBOOTING: [[ON_BOARD, Connected(), Rebooting(30.0)]],
    State.SUSPENDED: [[ON_BOARD, Connected(), FallingAsleep(None)]],
    State.FACTORY: [[ON_BOARD, Connected(), Resetting(None)]],
    State.RELEASED: [[ON_BOARD, Connected(), Deregistered()]],
    State.FAILED: [[StepFailed(UNREACHABLE)]],
}
"""One or more ways into each state, with the default policy."""

EVENTS: list[Event] = [
    BLANK,
    TRUSTING_ALREADY,
    ASKED_ALREADY,
    ON_BOARD,
    RENEWAL_DUE,
    TrustEstablished(),
    RequestReady(),
    Enrolled(),
    Connected(),
    Disconnected(LOST),
    RenewalChecked(due=False),
    RenewalChecked(due=True),
    StepFailed(UNREACHABLE),
    StepFailed(UNKNOWN),
    StepFailed(REFUSED),
    StepFailed(APPROVAL),
    Deregistered(),
    Rebooting(30.0),
    FallingAsleep(None),
    FallingAsleep(60.0),
    ShuttingDown(None),
    ShuttingDown(60.0),
    Resetting(None),
    Resetting(30.0),
    WokenUp(),
]
"""Every kind of event, in every variant that matters."""

PATIENT = RetryPolicy(onboarding=True)
ONCE = RetryPolicy(connection=False)


def no_luck() -> float:
    """Return the chance that waits longest."""
    return 0.0


def new_life(
    policy: RetryPolicy | None = None,
    *,
    release_delay: float | None = RELEASE_DELAY,
    chance: Callable[[], float] = no_luck,
) -> DeviceLife:
    """Return a life that has not begun."""
    return DeviceLife(policy or RetryPolicy(), release_delay=release_delay, chance=chance)


def reach(state: State, route: int = 0) -> DeviceLife:
    """Return a life in this state, at time 0."""
    life = new_life()
    for event in ROUTES[state][route]:
        life.handle(event, 0.0)
    assert life.state is state
    return life


@dataclass(frozen=True, slots=True)
class Wake:
    """In a playbook: the deadline's own moment has come."""


@dataclass(frozen=True, slots=True)
class Line:
    """One line of a playbook: at a time an event comes in; these commands come out, and this is the state then."""

    at: float
    event: Event | Wake
    commands: list[Command]
    state: State


def play(life: DeviceLife, script: list[Line]) -> None:
    """Play a script and compare it with what happens, as a whole, so that a failure shows both side by side."""
    happened = []
    for line in script:
        commands = life.on_deadline(line.at) if isinstance(line.event, Wake) else life.handle(line.event, line.at)
        happened.append(Line(line.at, line.event, commands, life.state))

    assert script == happened
