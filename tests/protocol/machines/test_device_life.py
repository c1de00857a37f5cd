# SPDX-License-Identifier: Apache-2.0
"""Tests of umslab_protocol.machines.device_life: playbooks (lives.py), then the table, then waiting and releasing."""

from __future__ import annotations

import re
from itertools import product
from random import Random

import pytest

from tests.protocol.machines.lives import (
    APPROVAL,
    ASKED_ALREADY,
    ASKED_WITHOUT_TRUST,
    BLANK,
    EVENTS,
    LOST,
    ON_BOARD,
    ONCE,
    PATIENT,
    REFUSED,
    RENEWAL_DUE,
    ROUTES,
    TRUSTING_ALREADY,
    UNKNOWN,
    UNREACHABLE,
    Line,
    Wake,
    new_life,
    play,
    reach,
)
from umslab_protocol.errors import LocalProtocolError
from umslab_protocol.machines.device_life import (
    DAY_SECONDS,
    RELEASE_DELAY,
    STABLE_SECONDS,
    TRANSITIONS,
    Booted,
    Command,
    Connected,
    Departure,
    Deregistered,
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
from umslab_protocol.machines.retrying import MAY_PASS, RetryPolicy
from umslab_protocol.values.failure import Failure, Phase, Reason

C, S = Command, State
OF_OS11 = {S.REGISTERING, S.CONTACTING, S.READY}

# Playbooks.


def test_on_board_from_nothing() -> None:
    """The whole way: trust, request, certificate, session (X2)."""
    play(
        new_life(),
        [
            Line(0, BLANK, [C.ESTABLISH_TRUST], S.TRUSTING),
            Line(1, TrustEstablished(), [C.PREPARE_REQUEST], S.PREPARING),
            Line(2, RequestReady(), [C.ENROL], S.ENROLLING),
            Line(3, Enrolled(), [C.CONNECT], S.CONNECTING),
            Line(4, Connected(), [], S.ONLINE),
        ],
    )


@pytest.mark.parametrize(
    ("booted", "command", "state"),
    [
        (BLANK, C.ESTABLISH_TRUST, S.TRUSTING),
        (ASKED_WITHOUT_TRUST, C.ESTABLISH_TRUST, S.TRUSTING),
        (TRUSTING_ALREADY, C.PREPARE_REQUEST, S.PREPARING),
        (ASKED_ALREADY, C.ENROL, S.ENROLLING),
        (ON_BOARD, C.CONNECT, S.CONNECTING),
        (RENEWAL_DUE, C.RENEW, S.RENEWING),
        (Booted(enrolled=True, trusted=True, request_pending=True, renewal_due=False), C.CONNECT, S.CONNECTING),
        (Booted(enrolled=False, trusted=True, request_pending=False, renewal_due=True), C.PREPARE_REQUEST, S.PREPARING),
    ],
)
def test_boot_goes_on_where_the_folder_stands(booted: Booted, command: Command, state: State) -> None:
    """What is saved is not done again; renewal is checked at each boot (X8)."""
    play(new_life(), [Line(0, booted, [command], state)])


def test_a_request_that_is_saved_is_sent_again() -> None:
    """After trust is established anew, no second key is made."""
    play(
        new_life(),
        [
            Line(0, ASKED_WITHOUT_TRUST, [C.ESTABLISH_TRUST], S.TRUSTING),
            Line(1, TrustEstablished(), [C.ENROL], S.ENROLLING),
        ],
    )


def test_a_damaged_folder() -> None:
    """Nothing can begin, whatever the policy."""
    damaged = Failure(Phase.START, Reason.STATE_DAMAGED, "device.key is cut")
    life = new_life(PATIENT)
    play(life, [Line(0, StepFailed(damaged), [], S.FAILED)])

    assert damaged is life.failure
    assert None is life.deadline()


def test_renewal_while_online() -> None:
    """The daily look, a renewal that is due, and back online."""
    play(
        reach(S.ONLINE),
        [
            Line(DAY_SECONDS, Wake(), [C.CHECK_RENEWAL], S.ONLINE),
            Line(DAY_SECONDS, RenewalChecked(due=False), [], S.ONLINE),
            Line(2 * DAY_SECONDS, Wake(), [C.CHECK_RENEWAL], S.ONLINE),
            Line(2 * DAY_SECONDS, RenewalChecked(due=True), [C.RENEW], S.RENEWING),
            Line(2 * DAY_SECONDS + 1, Enrolled(), [C.CONNECT], S.CONNECTING),
            Line(2 * DAY_SECONDS + 2, Connected(), [], S.ONLINE),
            Line(3 * DAY_SECONDS + 2, Wake(), [C.CHECK_RENEWAL], S.ONLINE),
        ],
    )


def test_the_daily_look_rests_while_a_certificate_is_renewed() -> None:
    """It begins anew with the next session."""
    life = reach(S.ONLINE)
    life.handle(RenewalChecked(due=True), 0.0)

    assert None is life.deadline()


def test_renewal_that_fails() -> None:
    """The old certificate may still do: the device connects, and looks again in a day."""
    life = new_life()
    play(
        life,
        [
            Line(0, RENEWAL_DUE, [C.RENEW], S.RENEWING),
            Line(1, StepFailed(REFUSED), [C.CONNECT], S.CONNECTING),
            Line(2, Connected(), [], S.ONLINE),
            Line(2 + DAY_SECONDS, Wake(), [C.CHECK_RENEWAL], S.ONLINE),
        ],
    )

    assert REFUSED is life.failure


def test_the_connection_is_lost_and_comes_back() -> None:
    """A wait, another try, and the failure stays for the record."""
    life = reach(S.ONLINE)
    play(
        life,
        [
            Line(10, Disconnected(LOST), [], S.WAITING),
            Line(11, Wake(), [C.CONNECT], S.CONNECTING),
            Line(12, StepFailed(UNREACHABLE), [], S.WAITING),
            Line(14, Wake(), [C.CONNECT], S.CONNECTING),
            Line(15, Connected(), [], S.ONLINE),
        ],
    )

    assert UNREACHABLE is life.failure


def test_deregistered() -> None:
    """A device that was deleted forgets the server and stays away (L4)."""
    life = reach(S.ONLINE)
    play(life, [Line(5, Deregistered(), [C.FORGET], S.RELEASED), Line(1e9, Wake(), [], S.RELEASED)])

    assert None is life.deadline()


def test_the_first_failure_before_enrolment_is_the_last() -> None:
    """Unless the policy says otherwise: a person stands before the device."""
    life = new_life()
    play(life, [Line(0, BLANK, [C.ESTABLISH_TRUST], S.TRUSTING), Line(1, StepFailed(UNREACHABLE), [], S.FAILED)])

    assert UNREACHABLE is life.failure
    assert None is life.deadline()


def test_a_patient_device_before_enrolment() -> None:
    """With `onboarding` the step that failed is done again, and only that one."""
    play(
        new_life(PATIENT),
        [
            Line(0, BLANK, [C.ESTABLISH_TRUST], S.TRUSTING),
            Line(0, StepFailed(UNREACHABLE), [], S.WAITING),
            Line(1, Wake(), [C.ESTABLISH_TRUST], S.TRUSTING),
            Line(1, TrustEstablished(), [C.PREPARE_REQUEST], S.PREPARING),
            Line(1, RequestReady(), [C.ENROL], S.ENROLLING),
            Line(1, StepFailed(UNREACHABLE), [], S.WAITING),
            Line(3, Wake(), [C.ENROL], S.ENROLLING),
            Line(3, Enrolled(), [C.CONNECT], S.CONNECTING),
        ],
    )


@pytest.mark.parametrize("reason", Reason)
@pytest.mark.parametrize("state", [S.TRUSTING, S.ENROLLING])
def test_what_may_pass(reason: Reason, state: State) -> None:
    """A wrong key stays wrong: patience is for reasons that go away by themselves."""
    life = new_life(PATIENT)
    life.handle({S.TRUSTING: BLANK, S.ENROLLING: ASKED_ALREADY}[state], 0.0)
    life.handle(StepFailed(Failure(Phase.ENROL, reason, "")), 0.0)

    assert (S.WAITING if reason in MAY_PASS else S.FAILED) is life.state


def test_a_server_that_takes_its_time_is_asked_again_whatever_the_policy() -> None:
    """RFC 7030 section 4.2.3: after 202 the client must ask again, when it was told to, however often."""
    play(
        new_life(),
        [
            Line(0, ASKED_ALREADY, [C.ENROL], S.ENROLLING),
            Line(1, StepFailed(APPROVAL), [], S.WAITING),
            Line(62, Wake(), [C.ENROL], S.ENROLLING),
            Line(63, StepFailed(APPROVAL), [], S.WAITING),
            Line(124, Wake(), [C.ENROL], S.ENROLLING),
            Line(125, Enrolled(), [C.CONNECT], S.CONNECTING),
        ],
    )


def test_a_renewal_that_takes_its_time() -> None:
    """The session goes on with the old certificate, and the server is asked again when it wants to be."""
    play(
        reach(S.ONLINE),
        [
            Line(10, RenewalChecked(due=True), [C.RENEW], S.RENEWING),
            Line(11, StepFailed(APPROVAL), [C.CONNECT], S.CONNECTING),
            Line(12, Connected(), [], S.ONLINE),
            Line(72, Wake(), [C.CHECK_RENEWAL], S.ONLINE),
        ],
    )


def test_the_daily_look_while_no_server_answers() -> None:
    """A certificate is renewed in time also when the device waits for a server all day."""
    life = new_life(RetryPolicy(first=2 * DAY_SECONDS, most=2 * DAY_SECONDS, jitter=0.0))
    play(
        life,
        [
            Line(0, ON_BOARD, [C.CONNECT], S.CONNECTING),
            Line(1, StepFailed(UNREACHABLE), [], S.WAITING),
            Line(DAY_SECONDS, Wake(), [C.CHECK_RENEWAL], S.WAITING),
            Line(DAY_SECONDS, RenewalChecked(due=False), [], S.WAITING),
            Line(2 * DAY_SECONDS, Wake(), [C.CHECK_RENEWAL], S.WAITING),
            Line(2 * DAY_SECONDS, RenewalChecked(due=True), [C.RENEW], S.RENEWING),
            Line(2 * DAY_SECONDS + 1, StepFailed(UNREACHABLE), [C.CONNECT], S.CONNECTING),
        ],
    )


# Going away.


def test_a_reboot() -> None:
    """Down, the boot time, and on from what the folder holds."""
    play(
        reach(S.ONLINE),
        [
            Line(10, Rebooting(30.0), [], S.REBOOTING),
            Line(39.9, Wake(), [], S.REBOOTING),
            Line(40, Wake(), [C.BOOT], S.OFF),
            Line(40, ON_BOARD, [C.CONNECT], S.CONNECTING),
        ],
    )


def test_a_suspension() -> None:
    """It sleeps until it is woken up, or until its time is over; both go on without a boot."""
    for seconds, event in ((None, WokenUp()), (60.0, Wake()), (60.0, WokenUp())):
        life = reach(S.ONLINE)
        play(
            life,
            [
                Line(10, FallingAsleep(seconds), [], S.SUSPENDED),
                Line(70, event, [C.CONNECT], S.CONNECTING),
            ],
        )


def test_a_shutdown() -> None:
    """Off for good, unless somebody switches it on; then it boots."""
    life = reach(S.ONLINE)
    play(life, [Line(10, ShuttingDown(None), [], S.OFF), Line(1e9, Wake(), [], S.OFF)])
    assert None is life.deadline()

    for event in (Wake(), WokenUp()):
        life = reach(S.ONLINE)
        play(life, [Line(10, ShuttingDown(60.0), [], S.OFF), Line(70, event, [C.BOOT], S.OFF)])


def test_a_factory_reset() -> None:
    """Everything is forgotten; what follows is the behaviour's."""
    life = reach(S.ONLINE)
    play(life, [Line(10, Resetting(None), [C.FORGET], S.FACTORY), Line(1e9, Wake(), [], S.FACTORY)])

    play(
        reach(S.ONLINE),
        [
            Line(10, Resetting(30.0), [C.FORGET], S.FACTORY),
            Line(40, Wake(), [C.BOOT], S.OFF),
            Line(40, BLANK, [C.ESTABLISH_TRUST], S.TRUSTING),
        ],
    )


@pytest.mark.parametrize("state", [S.CONNECTING, S.ONLINE, S.WAITING])
@pytest.mark.parametrize("departure", [Rebooting(1.0), FallingAsleep(1.0), ShuttingDown(1.0), Resetting(1.0)])
def test_it_may_go_away_wherever_it_stands(state: State, departure: Departure) -> None:
    """A command may end after the session that brought it."""
    life = reach(state)
    life.handle(departure, 10.0)

    assert 11.0 == life.deadline()


def test_the_time_of_being_unknown_counts_over_a_boot() -> None:
    """L5: what the calendar knows of it comes in with the boot."""
    booted = Booted(enrolled=True, trusted=True, request_pending=False, renewal_due=False, unknown_for=90.0)
    play(
        new_life(release_delay=100.0),
        [
            Line(5, booted, [C.CONNECT], S.CONNECTING),
            Line(6, StepFailed(UNKNOWN), [], S.WAITING),
            Line(7, Wake(), [C.CONNECT], S.CONNECTING),
            Line(15, StepFailed(UNKNOWN), [C.FORGET], S.RELEASED),
        ],
    )


def test_making_a_request_is_never_tried_again() -> None:
    """It happens in the device alone, so what stopped it is still there."""
    play(
        new_life(PATIENT),
        [Line(0, TRUSTING_ALREADY, [C.PREPARE_REQUEST], S.PREPARING), Line(1, StepFailed(UNREACHABLE), [], S.FAILED)],
    )


@pytest.mark.parametrize("reason", Reason)
def test_an_enrolled_device_always_comes_back(reason: Reason) -> None:
    """Whatever refused or ended its session, a real device tries again; only release ends that."""
    failure = Failure(Phase.CONNECT, reason, "")
    for state, event in ((S.CONNECTING, StepFailed(failure)), (S.ONLINE, Disconnected(failure))):
        life = reach(state)

        assert [] == life.handle(event, 0.0)
        assert S.WAITING is life.state


@pytest.mark.parametrize("events", [[StepFailed(UNREACHABLE)], [Connected(), Disconnected(LOST)]])
def test_once_means_once(events: list[Event]) -> None:
    """Without `connection` the first failure is the last."""
    life = new_life(ONCE)
    life.handle(ON_BOARD, 0.0)
    for event in events:
        life.handle(event, 0.0)

    assert S.FAILED is life.state
    assert None is life.deadline()


# The table.


def test_there_is_a_way_into_every_state() -> None:
    """The table and the routes of these tests know the same states."""
    assert set(State) - OF_OS11 == set(TRANSITIONS) == set(ROUTES)


def test_every_transition_happens_and_no_other() -> None:
    """From each state, every event in every variant, under every policy: what is reached is exactly the table."""
    reached: dict[State, dict[type[Event], set[State]]] = {state: {} for state in TRANSITIONS}
    for policy, delay, (state, routes) in product((PATIENT, ONCE), (RELEASE_DELAY, None), ROUTES.items()):
        for route, event in product(routes, EVENTS):
            life = new_life(policy, release_delay=delay)
            for step in route:
                life.handle(step, 0.0)
            if life.state is state and type(event) in TRANSITIONS[state]:
                life.handle(event, 1.0)
                reached[state].setdefault(type(event), set()).add(life.state)

    assert {state: {kind: set(to) for kind, to in row.items()} for state, row in TRANSITIONS.items()} == reached


@pytest.mark.parametrize("state", TRANSITIONS)
@pytest.mark.parametrize("event", EVENTS, ids=lambda event: type(event).__name__)
def test_an_event_out_of_place(state: State, event: Event) -> None:
    """It raises, naming state, event and what would be legal; nothing has changed."""
    legal = sorted(kind.__name__ for kind in TRANSITIONS[state])
    if type(event).__name__ in legal:
        return
    life = reach(state)
    before = (life.state, life.failure, life.deadline())
    message = f"{type(event).__name__} in state {state}; legal here: {', '.join(legal) or 'nothing'}"

    with pytest.raises(LocalProtocolError, match=f"^{re.escape(message)}$"):
        life.handle(event, 1.0)

    assert before == (life.state, life.failure, life.deadline())


def test_the_table_is_the_law(monkeypatch: pytest.MonkeyPatch) -> None:
    """A reaction that the table does not have is our bug and is told as one."""
    monkeypatch.setitem(TRANSITIONS[S.CONNECTING], Connected, (S.FAILED,))

    with pytest.raises(LocalProtocolError, match="Connected led from connecting to online"):
        reach(S.CONNECTING).handle(Connected(), 0.0)


@pytest.mark.parametrize("state", [state for state in TRANSITIONS if state not in {S.WAITING, S.ONLINE, S.REBOOTING}])
def test_no_deadline_elsewhere(state: State) -> None:
    """Only waiting and the daily look have one; waking a life without one does nothing."""
    life = reach(state)

    assert None is life.deadline()
    assert [] == life.on_deadline(1e12)
    assert state is life.state


@pytest.mark.parametrize(("state", "at"), [(S.WAITING, 1.0), (S.ONLINE, DAY_SECONDS)])
def test_too_early(state: State, at: float) -> None:
    """A timer that fires early changes nothing."""
    life = reach(state)

    assert at == life.deadline()
    assert [] == life.on_deadline(at - 0.001)
    assert (state, at) == (life.state, life.deadline())


def test_a_late_timer() -> None:
    """The next day begins when the timer came, so that looks do not pile up after a sleep."""
    life = reach(S.ONLINE)

    assert 24 * 60 * 60 == DAY_SECONDS
    assert [C.CHECK_RENEWAL] == life.on_deadline(10 * DAY_SECONDS)
    assert 11 * DAY_SECONDS == life.deadline()


# Waiting.


@pytest.mark.parametrize(
    ("attempt", "seconds"), [(1, 1.0), (2, 2.0), (3, 4.0), (9, 256.0), (10, 300.0), (11, 300.0), (10**9, 300.0)]
)
def test_back_off(attempt: int, seconds: float) -> None:
    """Doubles from one second up to five minutes, and stays there however often."""
    assert seconds == RetryPolicy().wait(attempt, 0.0)


@pytest.mark.parametrize(
    ("jitter", "chance", "seconds"),
    [(0.5, 0.0, 8.0), (0.5, 0.5, 6.0), (0.5, 1.0, 4.0), (0.0, 0.9, 8.0), (1.0, 0.75, 2.0), (1.0, 1.0, 0.0)],
)
def test_jitter(jitter: float, chance: float, seconds: float) -> None:
    """Chance takes away at most its share of a wait, and never adds to it."""
    assert seconds == RetryPolicy(jitter=jitter).wait(4, chance)


def test_another_policy() -> None:
    """All numbers are the policy's."""
    policy = RetryPolicy(first=3.0, factor=10.0, most=50.0, jitter=0.0)

    assert [3.0, 30.0, 50.0] == [policy.wait(attempt, 0.7) for attempt in (1, 2, 3)]


def test_waits_stay_in_bounds() -> None:
    """Most of a day of failures: a wait is never longer than the back-off, never shorter than its half."""
    life = new_life(chance=Random(7).random)
    life.handle(ON_BOARD, 0.0)
    now, waits = 0.0, []
    for _ in range(250):
        life.handle(StepFailed(UNREACHABLE), now)
        until = life.deadline()

        assert until is not None

        waits.append(until - now)
        now = until

        assert [C.CONNECT] == life.on_deadline(now)

    full = [min(300.0, 2.0**attempt) for attempt in range(250)]

    assert all(0.5 * most - 1e-6 <= wait <= most + 1e-6 for wait, most in zip(waits, full, strict=True))
    assert len(set(waits[20:])) > 200


def test_chance_is_asked_once_a_wait() -> None:
    """So that a device's draws, and with them a run, can be repeated."""
    draws: list[float] = []

    def chance() -> float:
        draws.append(0.25)
        return 0.25

    life = new_life(chance=chance)
    life.handle(ON_BOARD, 0.0)
    life.handle(StepFailed(UNREACHABLE), 0.0)

    assert [0.25] == draws
    assert 1.0 * (1 - 0.5 * 0.25) == life.deadline()


def test_success_ends_the_back_off() -> None:
    """After a session that lasted the next wait is a short one again; one that was closed at once does not count."""
    life = reach(S.CONNECTING)
    for now in range(5):
        life.handle(StepFailed(UNREACHABLE), now)
        life.on_deadline(1000.0)
    life.handle(Connected(), 0.0)
    life.handle(Disconnected(LOST), STABLE_SECONDS - 1)
    longer = life.deadline()
    life.on_deadline(1000.0)
    life.handle(Connected(), 1000.0)
    life.handle(Disconnected(LOST), 1000.0 + STABLE_SECONDS)

    assert STABLE_SECONDS - 1 + 32.0 == longer
    assert 1000.0 + STABLE_SECONDS + 1.0 == life.deadline()


def test_enrolment_ends_the_back_off() -> None:
    """Failures before enrolment do not count after it."""
    life = new_life(PATIENT)
    life.handle(ASKED_ALREADY, 0.0)
    for _ in range(5):
        life.handle(StepFailed(UNREACHABLE), 0.0)
        life.on_deadline(1000.0)
    life.handle(Enrolled(), 0.0)
    life.handle(StepFailed(UNREACHABLE), 0.0)

    assert 1.0 == life.deadline()


@pytest.mark.parametrize(("asked", "at"), [(None, 1.0), (0.5, 1.5), (60.0, 61.0), (3_600.0, 3_601.0), (-5.0, 1.0)])
@pytest.mark.parametrize(("state", "kind"), [(S.CONNECTING, StepFailed), (S.ONLINE, Disconnected)])
def test_retry_after(asked: float | None, at: float, state: State, kind: type[StepFailed | Disconnected]) -> None:
    """The server's wish is honoured, and our own jittered wait comes on top."""
    life = reach(state)
    life.handle(kind(Failure(Phase.CONNECT, Reason.BUSY, "HTTP 503", retry_after=asked)), 0.0)

    assert at == life.deadline()


def test_retry_after_before_enrolment() -> None:
    """The same for a patient device that is told to come back for its certificate."""
    life = new_life(PATIENT)
    life.handle(ASKED_ALREADY, 0.0)
    life.handle(StepFailed(Failure(Phase.ENROL, Reason.BUSY, "HTTP 202", retry_after=120.0)), 5.0)

    assert 126.0 == life.deadline()


# The release rule (L5).


def test_the_documented_delay() -> None:
    """`system.remotemanager.release_delay` is 86400 seconds by default."""
    assert 86_400 == RELEASE_DELAY


def test_without_the_rule_the_first_refusal_releases() -> None:
    """Firmware before 12.8.4."""
    life = new_life(release_delay=None)
    play(
        life,
        [
            Line(0, ON_BOARD, [C.CONNECT], S.CONNECTING),
            Line(1, StepFailed(UNKNOWN), [C.FORGET], S.RELEASED),
        ],
    )

    assert UNKNOWN is life.failure
    assert None is life.deadline()


def test_with_the_rule_it_must_stay_so() -> None:
    """Only after the delay, counted from the first time the device was called unknown."""
    play(
        new_life(release_delay=100.0),
        [
            Line(0, ON_BOARD, [C.CONNECT], S.CONNECTING),
            Line(50, StepFailed(UNKNOWN), [], S.WAITING),
            Line(60, Wake(), [C.CONNECT], S.CONNECTING),
            Line(149.9, StepFailed(UNKNOWN), [], S.WAITING),
            Line(160, Wake(), [C.CONNECT], S.CONNECTING),
            Line(160, StepFailed(UNKNOWN), [C.FORGET], S.RELEASED),
        ],
    )


def test_the_delay_is_over_to_the_second() -> None:
    """Reached is enough."""
    life = new_life(release_delay=100.0)
    life.handle(ON_BOARD, 0.0)
    life.handle(StepFailed(UNKNOWN), 50.0)
    life.on_deadline(149.0)

    assert [C.FORGET] == life.handle(StepFailed(UNKNOWN), 150.0)


@pytest.mark.parametrize("reason", [reason for reason in Reason if reason is not Reason.UNKNOWN_DEVICE])
def test_other_refusals_do_not_count(reason: Reason) -> None:
    """Unreachable servers and refusals that do not say "unknown" neither release nor begin the delay."""
    other = Failure(Phase.CONNECT, reason, "")
    play(
        new_life(release_delay=100.0),
        [
            Line(0, ON_BOARD, [C.CONNECT], S.CONNECTING),
            Line(0, StepFailed(other), [], S.WAITING),
            Line(500, Wake(), [C.CONNECT], S.CONNECTING),
            Line(500, StepFailed(UNKNOWN), [], S.WAITING),
            Line(550, Wake(), [C.CONNECT], S.CONNECTING),
            Line(700, StepFailed(other), [], S.WAITING),
        ],
    )


def test_a_session_ends_the_delay() -> None:
    """A device that was let in was not unknown all the time."""
    play(
        new_life(release_delay=100.0),
        [
            Line(0, ON_BOARD, [C.CONNECT], S.CONNECTING),
            Line(0, StepFailed(UNKNOWN), [], S.WAITING),
            Line(50, Wake(), [C.CONNECT], S.CONNECTING),
            Line(60, Connected(), [], S.ONLINE),
            Line(70, Disconnected(LOST), [], S.WAITING),
            Line(80, Wake(), [C.CONNECT], S.CONNECTING),
            Line(200, StepFailed(UNKNOWN), [], S.WAITING),
        ],
    )


def test_the_policy_comes_first() -> None:
    """A device that tries only once fails at the first refusal; it is not released."""
    life = new_life(ONCE)
    life.handle(ON_BOARD, 0.0)

    assert [] == life.handle(StepFailed(UNKNOWN), 0.0)
    assert S.FAILED is life.state
