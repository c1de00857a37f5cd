# SPDX-License-Identifier: Apache-2.0
"""The tree of what was measured: groups of failures, and what every part begins with."""

from __future__ import annotations

from umslab_agent.fleet.blame import Side
from umslab_agent.fleet.measured import MAX_TEXT, MOST_CAUSES, Cause, FailureGroup, Failures, Measured, Step
from umslab_protocol.values.failure import Phase, Reason


def _cause(status: int | None) -> Cause:
    return Cause(Side.SERVER, Phase.ENROL, Reason.BUSY, status)


def test_groups_are_found_by_their_cause() -> None:
    """Also those that were there before; texts are those of the first, cut to size."""
    kept = [FailureGroup(_cause(503), example="before")]
    groups = Failures(kept)

    assert "before" == groups.group(_cause(503), example="after", hint="", request="").example
    assert MAX_TEXT == len(groups.group(_cause(500), example="x" * 999, hint="", request="").example)
    assert 2 == len(kept)


def test_a_full_table() -> None:
    """New statuses are put together; causes that have a group keep it."""
    kept: list[FailureGroup] = []
    groups = Failures(kept)
    for status in range(100, 100 + MOST_CAUSES):
        groups.group(_cause(status), example="", hint="", request="")
    together = groups.group(_cause(900), example="", hint="", request="")

    assert together is groups.group(_cause(901), example="", hint="", request="")
    assert None is together.cause.status
    assert 100 == groups.group(_cause(100), example="", hint="", request="").cause.status
    assert MOST_CAUSES + 1 == len(kept)


def test_two_records_share_nothing() -> None:
    """What is added to one is not in the other."""
    one, other = Measured(), Measured()
    one.generators.append(None)  # type: ignore[arg-type]
    one.arrivals.intended.add(0.0)

    assert [] == other.generators
    assert [] == other.arrivals.intended.bins
    assert "managed" == list(Step)[-1]
