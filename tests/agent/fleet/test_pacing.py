# SPDX-License-Identifier: Apache-2.0
"""Arrivals as planned, paused, and at another rate."""

from __future__ import annotations

from typing import TYPE_CHECKING

from umslab_agent.fleet.pacing import Pacing

if TYPE_CHECKING:
    from collections.abc import Callable


def _rest(pacing: Pacing) -> list[float]:
    return [pacing.due(position) for position in range(pacing.arrived, pacing.arrived + pacing.left)]


def _paced(arrived: int = 2, *steps: Callable[[Pacing], object]) -> Pacing:
    pacing = Pacing([0, 1, 2, 3, 4], 100.0)
    pacing.arrived = arrived
    for step in steps:
        step(pacing)
    return pacing


def test_as_planned() -> None:
    """From the start of the run on; whoever was to have come by now, counts, come or not."""
    pacing = _paced(1)

    assert (101, 104, 4) == (pacing.next_due, pacing.last_due, pacing.left)
    assert [0, 1, 4, 5] == [pacing.due_by(now) for now in (99, 100, 103.5, 999)]


def test_a_pause_makes_all_later() -> None:
    """By its length; nobody is due meanwhile, and who has come is as before."""
    pacing = _paced(2, lambda one: one.pause(101.5))

    assert (None, None, 2) == (pacing.next_due, pacing.last_due, pacing.due_by(150))
    assert not pacing.pause(120)
    assert pacing.resume(131.5)
    assert not pacing.resume(140)
    assert [132, 133, 134] == _rest(pacing)
    assert 101 == pacing.due(1)


def test_another_rate_is_for_those_who_are_left() -> None:
    """Evenly from now on."""
    pacing = _paced(2, lambda one: one.set_rate(4, 110))

    assert [110, 110.25, 110.5] == _rest(pacing)
    assert 110.5 == pacing.last_due


def test_another_rate_in_a_pause_begins_at_its_end() -> None:
    """Not before."""
    pacing = _paced(2, lambda one: one.pause(102), lambda one: one.set_rate(2, 105), lambda one: one.resume(112))

    assert [112, 112.5, 113] == _rest(pacing)


def test_nobody_is_left() -> None:
    """Then nothing is due, and steering changes nothing."""
    pacing = _paced(5, lambda one: one.set_rate(1, 300))

    assert (None, 104, 5) == (pacing.next_due, pacing.last_due, pacing.due_by(200))
    assert (None, None, 0) == (Pacing([], 1).next_due, Pacing([], 1).last_due, Pacing([], 1).due_by(9))
