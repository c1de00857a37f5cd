# SPDX-License-Identifier: Apache-2.0
"""However keys are guessed: waits are bounded, guesses are few, and nobody waits for somebody else."""

from __future__ import annotations

from collections import defaultdict

from hypothesis import given, settings
from hypothesis import strategies as st

from umslab_server.throttle import Throttle, ThrottleRules

RULES = ThrottleRules(wrong_keys_per_device=3, wrong_keys_per_source=7, seconds_per_wrong_key=10.0)

_steps = st.lists(
    st.tuples(
        st.sampled_from("ab"), st.sampled_from("123"), st.booleans(), st.sampled_from([0.0, 1.0, 10.0, 25.0, 1e6])
    ),
    max_size=60,
)


@given(_steps)
@settings(deadline=None)
def test_guesses(steps: list[tuple[str, str, bool, float]]) -> None:
    """In any ten seconds a (source, unit ID) gets at most three looks more than one each ten seconds."""
    limits, now = Throttle(RULES), 0.0
    looks: dict[tuple[str, str], list[float]] = defaultdict(list)
    for source, unit_id, right, pause in steps:
        now += pause
        wait = limits.wait_before_trying(source, unit_id, now)

        assert 0.0 <= wait <= 10.0
        if not looks[source, unit_id]:
            assert wait == 0.0
        if wait:
            continue
        if right:
            limits.right(source, unit_id)
            looks[source, unit_id].clear()
        else:
            assert 0.0 <= limits.wrong(source, unit_id, now) <= 10.0
            looks[source, unit_id].append(now)
        for first, moment in enumerate(looks[source, unit_id]):
            since = [later for later in looks[source, unit_id][first:] if later >= moment]
            assert len(since) <= 3 + (now - moment) / 10 + 1e-6
