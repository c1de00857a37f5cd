# SPDX-License-Identifier: Apache-2.0
"""Tests of umslab_protocol.machines.device_life_os11."""

from __future__ import annotations

import re
from itertools import product

import pytest

from umslab_protocol.errors import LocalProtocolError
from umslab_protocol.machines.device_life import (
    Command,
    Deregistered,
    FallingAsleep,
    Rebooting,
    Resetting,
    ShuttingDown,
    State,
    StepFailed,
    WokenUp,
)
from umslab_protocol.machines.device_life_os11 import (
    TRANSITIONS,
    Contacted,
    NetworkChanged,
    Os11Booted,
    Os11DeviceLife,
    Os11Event,
    Registered,
    ReportDue,
)
from umslab_protocol.machines.retrying import RetryPolicy
from umslab_protocol.values.failure import Failure, Phase, Reason

C, S = Command, State
NEW, KNOWN = Os11Booted(registered=False), Os11Booted(registered=True)
UNREACHABLE = Failure(Phase.CONTACT, Reason.UNREACHABLE, "no route")
UNKNOWN = Failure(Phase.CONTACT, Reason.UNKNOWN_DEVICE, "who?")
OTHER_SERVER = Failure(Phase.CONTACT, Reason.PIN_MISMATCH, "another certificate")
WRONG_PASSWORD = Failure(Phase.REGISTER, Reason.KEY_REFUSED, "no")
BUSY = Failure(Phase.CONTACT, Reason.BUSY, "later", retry_after=60.0)
PATIENT = RetryPolicy(onboarding=True, jitter=0.0)
ONCE = RetryPolicy(connection=False)

ROUTES: dict[State, list[list[Os11Event]]] = {
    S.OFF: [[]],
    S.REGISTERING: [[NEW]],
    S.CONTACTING: [[KNOWN], [NEW, Registered()]],
    S.READY: [[KNOWN, Contacted()]],
    S.WAITING: [[KNOWN, StepFailed(UNREACHABLE)], [NEW, StepFailed(UNREACHABLE)]],
    S.REBOOTING: [[KNOWN, Contacted(), Rebooting(30.0)]],
    S.SUSPENDED: [[KNOWN, Contacted(), FallingAsleep(None)]],
    S.FACTORY: [[KNOWN, Contacted(), Resetting(None)]],
    S.RELEASED: [[KNOWN, Contacted(), Deregistered()]],
    S.FAILED: [[StepFailed(UNREACHABLE)]],
}
"""One or more ways into each state, for a device that tries again."""

EVENTS: list[Os11Event] = [
    NEW, KNOWN, Registered(), Contacted(), NetworkChanged(), ReportDue(), StepFailed(UNREACHABLE), StepFailed(UNKNOWN),
    StepFailed(OTHER_SERVER), StepFailed(WRONG_PASSWORD), Deregistered(), Rebooting(30.0), FallingAsleep(5.0),
    ShuttingDown(None), Resetting(None), WokenUp(),
]  # fmt: skip


def new_life(policy: RetryPolicy = PATIENT) -> Os11DeviceLife:
    """A life without luck."""
    return Os11DeviceLife(policy, chance=lambda: 0.0)


def reach(*events: Os11Event, policy: RetryPolicy = PATIENT) -> Os11DeviceLife:
    """A life that has seen these."""
    life = new_life(policy)
    for event in events:
        life.handle(event, 0.0)
    return life


def test_from_nothing_to_ready() -> None:
    """Without a pin it registers, and the session of the registration is the first contact."""
    life = new_life()

    assert [C.REGISTER] == life.handle(NEW, 0.0)
    assert [] == life.handle(Registered(), 1.0)
    assert S.CONTACTING is life.state
    assert [] == life.handle(Contacted(), 2.0)
    assert (S.READY, None) == (life.state, life.deadline())


def test_boot_of_a_registered_device() -> None:
    """With a pin it contacts its UMS at boot (G2)."""
    assert [C.CONTACT] == new_life().handle(KNOWN, 0.0)


@pytest.mark.parametrize("event", [NetworkChanged(), ReportDue()])
def test_what_leads_to_a_contact(event: Os11Event) -> None:
    """A change of the network (G3), and something to tell."""
    life = reach(KNOWN, Contacted())

    assert [C.CONTACT] == life.handle(event, 5.0)
    assert S.CONTACTING is life.state


def test_a_report_that_is_due_later() -> None:
    """The driver says when there is something to tell; not before."""
    life = reach(KNOWN, Contacted())
    life.report_at(100.0)

    assert [] == life.on_deadline(99.9)
    assert [C.CONTACT] == life.on_deadline(100.0)
    assert None is life.deadline()


def test_back_off_grows_and_ends_with_success() -> None:
    """Each failed contact waits longer; one that succeeds begins anew."""
    life = reach(KNOWN)
    waits = []
    for _ in range(3):
        life.handle(StepFailed(UNREACHABLE), 0.0)
        waits.append(life.deadline())
        life.on_deadline(1e9)
    life.handle(Contacted(), 0.0)
    life.handle(ReportDue(), 0.0)
    life.handle(StepFailed(UNREACHABLE), 0.0)

    assert [1.0, 2.0, 4.0] == waits
    assert 1.0 == life.deadline()


def test_what_the_server_asks_to_wait_comes_first() -> None:
    """`retryAfter`, and the back-off on top, so that a fleet does not come back as a herd."""
    life = reach(KNOWN, StepFailed(BUSY))

    assert 61.0 == life.deadline()


@pytest.mark.parametrize("failure", [UNKNOWN, OTHER_SERVER, UNREACHABLE])
def test_nothing_but_the_server_makes_it_forget(failure: Failure) -> None:
    """Unknown, or another server: it keeps its pin and asks again (G9; our assumption)."""
    life = reach(KNOWN)

    assert [] == life.handle(StepFailed(failure), 0.0)
    assert S.WAITING is life.state
    assert [C.CONTACT] == life.on_deadline(1.0)


@pytest.mark.parametrize("route", [[KNOWN], [KNOWN, Contacted()], [KNOWN, StepFailed(UNREACHABLE)]])
def test_deregistered(route: list[Os11Event]) -> None:
    """A server that has proved itself says that the device was deleted (L4)."""
    life = reach(*route)

    assert [C.FORGET] == life.handle(Deregistered(), 1.0)
    assert (S.RELEASED, None) == (life.state, life.deadline())


def test_a_changed_network_ends_a_wait() -> None:
    """The cable is in again: what was being tried is tried now."""
    assert [C.REGISTER] == reach(NEW, StepFailed(UNREACHABLE)).handle(NetworkChanged(), 0.5)
    assert [C.CONTACT] == reach(KNOWN, StepFailed(UNREACHABLE)).handle(NetworkChanged(), 0.5)


@pytest.mark.parametrize(
    ("event", "state", "commands", "wakes"),
    [
        (Rebooting(30.0), S.REBOOTING, [], [C.BOOT]),
        (FallingAsleep(30.0), S.SUSPENDED, [], [C.CONTACT]),
        (ShuttingDown(30.0), S.OFF, [], [C.BOOT]),
        (Resetting(30.0), S.FACTORY, [C.FORGET], [C.BOOT]),
    ],
)
def test_going_away(event: Os11Event, state: State, commands: list[Command], wakes: list[Command]) -> None:
    """It goes away for as long as the order says (J2)."""
    life = reach(KNOWN, Contacted())

    assert commands == life.handle(event, 10.0)
    assert (state, 40.0) == (life.state, life.deadline())
    assert wakes == life.on_deadline(40.0)


@pytest.mark.parametrize(
    ("policy", "route", "failure", "state"),
    [
        (RetryPolicy(), [NEW], UNREACHABLE, S.FAILED),
        (PATIENT, [NEW], UNREACHABLE, S.WAITING),
        (PATIENT, [NEW], WRONG_PASSWORD, S.FAILED),
        (RetryPolicy(), [KNOWN], UNREACHABLE, S.WAITING),
        (ONCE, [KNOWN], UNREACHABLE, S.FAILED),
    ],
)
def test_who_tries_again(policy: RetryPolicy, route: list[Os11Event], failure: Failure, state: State) -> None:
    """Registration only with `onboarding`, and when the reason may pass; contacts unless told otherwise."""
    life = reach(*route, policy=policy)
    life.handle(StepFailed(failure), 0.0)

    assert (state, failure) == (life.state, life.failure)


def test_every_transition_happens_and_no_other() -> None:
    """From each state, every event, under every policy: what is reached is exactly the table."""
    reached: dict[State, dict[type[Os11Event], set[State]]] = {state: {} for state in TRANSITIONS}
    for policy, (state, routes) in product((PATIENT, ONCE), ROUTES.items()):
        for route, event in product(routes, EVENTS):
            life = reach(*route, policy=policy)
            if life.state is state and life.takes(type(event)):
                life.handle(event, 1.0)
                reached[state].setdefault(type(event), set()).add(life.state)

    assert {state: {kind: set(to) for kind, to in row.items()} for state, row in TRANSITIONS.items()} == reached


@pytest.mark.parametrize("state", TRANSITIONS)
@pytest.mark.parametrize("event", EVENTS, ids=lambda event: type(event).__name__)
def test_an_event_out_of_place(state: State, event: Os11Event) -> None:
    """It raises, naming state, event and what would be legal; nothing has changed."""
    legal = sorted(kind.__name__ for kind in TRANSITIONS[state])
    life = reach(*ROUTES[state][0])
    if type(event).__name__ in legal:
        return
    before = (life.state, life.failure, life.deadline())
    message = f"{type(event).__name__} in state {state}; legal here: {', '.join(legal) or 'nothing'}"

    with pytest.raises(LocalProtocolError, match=f"^{re.escape(message)}$"):
        life.handle(event, 1.0)

    assert before == (life.state, life.failure, life.deadline())


def test_the_table_is_the_law(monkeypatch: pytest.MonkeyPatch) -> None:
    """A reaction that the table does not have is our bug and is told as one."""
    monkeypatch.setitem(TRANSITIONS[S.CONTACTING], Contacted, (S.FAILED,))

    with pytest.raises(LocalProtocolError, match="Contacted led from contacting to ready"):
        reach(KNOWN, Contacted())
