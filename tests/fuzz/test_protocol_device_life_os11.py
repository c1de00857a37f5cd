# SPDX-License-Identifier: Apache-2.0
"""Random lives of an OS 11 device: legal events in any order, at any time, with any luck."""

from __future__ import annotations

from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from tests.protocol.machines.test_device_life_os11 import EVENTS
from umslab_protocol.machines.device_life import Command, State, StepFailed
from umslab_protocol.machines.device_life_os11 import TRANSITIONS, Os11DeviceLife
from umslab_protocol.machines.retrying import RetryPolicy
from umslab_protocol.values.failure import Failure, Phase, Reason

LONGEST = 300.0
REACTIONS = {
    Command.BOOT: State.OFF,
    Command.REGISTER: State.REGISTERING,
    Command.CONTACT: State.CONTACTING,
}
failures = st.builds(
    Failure,
    st.sampled_from(Phase),
    st.sampled_from(Reason),
    st.just(""),
    retry_after=st.none() | st.floats(0, LONGEST),
)
policies = st.builds(
    RetryPolicy, onboarding=st.booleans(), connection=st.booleans(), jitter=st.floats(0, 1), most=st.just(LONGEST)
)


@given(policies, st.floats(0, 1, exclude_max=True), st.data())
def test_any_life(policy: RetryPolicy, luck: float, data: st.DataObject) -> None:
    """At most one command at a time, which fits the state; waits are bounded; it forgets only when it was told to."""
    life, now = Os11DeviceLife(policy, chance=lambda: luck), 0.0
    for _ in range(data.draw(st.integers(0, 30))):
        now += data.draw(st.floats(0, 1_000))
        deadline = life.deadline()
        if deadline is not None and deadline <= now:
            commands = life.on_deadline(now)
            assert commands
        elif legal := [event for event in EVENTS if life.takes(type(event))]:
            event = data.draw(st.sampled_from(legal))
            if isinstance(event, StepFailed):
                event = replace(event, failure=data.draw(failures))
            commands = life.handle(event, now)
        else:
            assert not TRANSITIONS[life.state]
            return
        assert len(commands) <= 1
        for command in commands:
            if command is Command.FORGET:
                assert life.state in {State.RELEASED, State.FACTORY}
            else:
                assert REACTIONS[command] is life.state
        if life.state is State.WAITING:
            wake_at = life.deadline()
            assert wake_at is not None
            assert 0 <= wake_at - now <= 2 * LONGEST
