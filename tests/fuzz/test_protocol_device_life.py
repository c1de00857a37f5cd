# SPDX-License-Identifier: Apache-2.0
"""Random lives of a device: legal events in any order, at any time, with any luck."""

from __future__ import annotations

from dataclasses import replace

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from tests.protocol.machines.lives import EVENTS
from umslab_protocol.errors import LocalProtocolError
from umslab_protocol.machines.device_life import (
    TRANSITIONS,
    Command,
    DeviceLife,
    Disconnected,
    Event,
    State,
    StepFailed,
)
from umslab_protocol.machines.retrying import RetryPolicy
from umslab_protocol.values.failure import Failure, Phase, Reason

LONGEST = 300.0
TOGETHER = 2 * LONGEST  # what the server asked for, and our own wait on top

AWAY = {State.OFF, State.SUSPENDED, State.FACTORY}

failures = st.builds(
    Failure,
    st.sampled_from(Phase),
    st.sampled_from(Reason),
    st.just(""),
    retry_after=st.none() | st.floats(0, LONGEST),
)
waits = st.floats(0, 200_000)


class Life(RuleBasedStateMachine):
    """Plays the driver: hands in what may come, and wakes the machine when it wants to be woken."""

    @initialize(
        onboarding=st.booleans(),
        connection=st.booleans(),
        jitter=st.floats(0, 1),
        delay=st.none() | st.floats(0, 100_000),
        luck=st.floats(0, 1, exclude_max=True),
    )
    def begin(self, *, onboarding: bool, connection: bool, jitter: float, delay: float | None, luck: float) -> None:
        """Make a device with any policy."""
        policy = RetryPolicy(onboarding=onboarding, connection=connection, jitter=jitter, most=LONGEST)
        self.life = DeviceLife(policy, release_delay=delay, chance=lambda: luck)
        self.now = 0.0
        self.commands: list[Command] = []

    @precondition(lambda self: bool(TRANSITIONS[self.life.state]))
    @rule(data=st.data(), failure=failures, later=waits)
    def legal_event(self, data: st.DataObject, failure: Failure, later: float) -> None:
        """A legal event never raises and leads where the table says."""
        self.now += later
        before = self.life.state
        event: Event = data.draw(st.sampled_from([event for event in EVENTS if type(event) in TRANSITIONS[before]]))
        if isinstance(event, StepFailed | Disconnected):
            event = replace(event, failure=failure)
        self.commands = self.life.handle(event, self.now)

        assert self.life.state in TRANSITIONS[before][type(event)]

    @rule(data=st.data())
    def illegal_event(self, data: st.DataObject) -> None:
        """Any other event raises the one declared error and changes nothing."""
        before = (self.life.state, self.life.failure, self.life.deadline())
        illegal = [event for event in EVENTS if type(event) not in TRANSITIONS[self.life.state]]
        try:
            self.life.handle(data.draw(st.sampled_from(illegal)), self.now)
        except LocalProtocolError:
            assert before == (self.life.state, self.life.failure, self.life.deadline())
        else:
            raise AssertionError(f"taken in state {before[0]}")

    @rule(later=waits)
    def wake(self, later: float) -> None:
        """A timer may fire at any time, early or late."""
        self.now += later
        due = self.life.deadline()
        self.commands = self.life.on_deadline(self.now)

        assert bool(self.commands) == (due is not None and due <= self.now)

    @invariant()
    def one_thing_at_a_time(self) -> None:
        """At most one command besides FORGET, which is given only on release."""
        assert len([command for command in self.commands if command is not Command.FORGET]) <= 1
        assert (Command.FORGET not in self.commands) or (self.life.state in {State.RELEASED, State.FACTORY})

    @invariant()
    def a_deadline_only_where_something_is_waited_for(self) -> None:
        """Waiting, rebooting and online devices have one, those that sleep or are off may; a wait is bounded."""
        deadline = self.life.deadline()

        if self.life.state not in AWAY:
            always = {State.WAITING, State.ONLINE, State.REBOOTING}
            assert (self.life.state in always) == (deadline is not None)
        if self.life.state is State.WAITING and deadline is not None:
            assert deadline <= self.now + TOGETHER

    @invariant()
    def a_state_for_every_command(self) -> None:
        """A life that is not at its end is doing something, or waiting for something."""
        resting = {State.WAITING, State.ONLINE, State.REBOOTING, State.RELEASED, State.FAILED, *AWAY}
        if self.commands and Command.FORGET not in self.commands:
            busy = self.life.state not in resting
            assert busy or self.commands in ([Command.CHECK_RENEWAL], [Command.BOOT])


TestLife = Life.TestCase
TestLife.settings = settings(deadline=None, max_examples=60, stateful_step_count=40)
