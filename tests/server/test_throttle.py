# SPDX-License-Identifier: Apache-2.0
"""Tests of umslab_server.throttle."""

from __future__ import annotations

import msgspec
import pytest

from umslab_server import throttle
from umslab_server.throttle import Throttle, ThrottleRules

RULES = ThrottleRules(wrong_keys_per_device=3, wrong_keys_per_source=5, seconds_per_wrong_key=10.0)


def guess(limits: Throttle, source: str, unit_id: str, now: float) -> tuple[float, float]:
    """Present a wrong key: the wait before it is looked at, or 0 and the wait told afterwards."""
    wait = limits.wait_before_trying(source, unit_id, now)
    return (wait, 0.0) if wait else (0.0, limits.wrong(source, unit_id, now))


def test_nobody_waits_at_first() -> None:
    """Without a wrong key there is no delay, and asking leaves nothing behind."""
    limits = Throttle(RULES)

    assert limits.wait_before_trying("a", "1", 0.0) == 0.0
    assert not limits.is_slowed("a", 0.0)


def test_device_waits_after_its_wrong_keys() -> None:
    """Three are borne, then each further try costs ten seconds."""
    limits = Throttle(RULES)

    assert [guess(limits, "a", "1", 0.0) for _ in range(3)] == [(0.0, 0.0)] * 3
    assert limits.wait_before_trying("a", "1", 0.0) == 10.0
    assert pytest.approx(4.0) == limits.wait_before_trying("a", "1", 6.0)
    assert guess(limits, "a", "1", 10.0) == (0.0, 0.0)
    assert limits.wait_before_trying("a", "1", 10.0) == 10.0


def test_patience_is_regained() -> None:
    """After a long silence all three are borne again."""
    limits = Throttle(RULES)
    for _ in range(3):
        guess(limits, "a", "1", 0.0)

    assert [guess(limits, "a", "1", 1000.0) for _ in range(3)] == [(0.0, 0.0)] * 3
    assert limits.wait_before_trying("a", "1", 1000.0) == 10.0


def test_others_do_not_wait() -> None:
    """Neither another device behind the same address nor the same unit ID from elsewhere is delayed."""
    limits = Throttle(RULES)
    for _ in range(3):
        guess(limits, "a", "1", 0.0)

    assert limits.wait_before_trying("a", "2", 0.0) == 0.0
    assert limits.wait_before_trying("b", "1", 0.0) == 0.0


def test_right_key_clears_the_device() -> None:
    """Who has had the right key has no past."""
    limits = Throttle(RULES)
    for _ in range(3):
        guess(limits, "a", "1", 0.0)
    limits.right("a", "1")

    assert limits.wait_before_trying("a", "1", 0.0) == 0.0


def test_source_is_slowed_for_its_wrong_keys_only() -> None:
    """Five guesses for five devices: the sixth wrong one is told to wait, nobody is kept from trying."""
    limits = Throttle(RULES)

    assert [guess(limits, "a", str(number), 0.0) for number in range(5)] == [(0.0, 0.0)] * 5
    assert limits.is_slowed("a", 0.0)
    assert guess(limits, "a", "6", 0.0) == (0.0, 10.0)
    assert limits.wait_before_trying("a", "7", 0.0) == 0.0
    assert not limits.is_slowed("b", 0.0)
    assert not limits.is_slowed("a", 10.0)


def test_keys_being_looked_at_count() -> None:
    """Three at once are as many as three one after the other; when they are done they count no more."""
    limits = Throttle(RULES)
    with limits.trying("a", "1"), limits.trying("a", "1"), limits.trying("a", "1"):
        waits = [limits.wait_before_trying("a", unit_id, 0.0) for unit_id in "12"]

    assert waits == [10.0, 0.0]
    assert limits.wait_before_trying("a", "1", 0.0) == 0.0


def test_tables_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """The longest untouched entry goes first."""
    monkeypatch.setattr(throttle, "MAX_ENTRIES", 4)
    limits = Throttle(RULES)
    for unit_id in ("1", "1", "1", "2", "3", "4", "5"):
        limits.wrong("a", unit_id, 0.0)

    assert len(limits._devices._buckets) == 4
    assert limits.wait_before_trying("a", "1", 0.0) == 0.0


def test_empty_buckets_are_forgotten() -> None:
    """A bucket that has leaked dry takes no room."""
    limits = Throttle(RULES)
    limits.wrong("a", "1", 0.0)
    limits.wait_before_trying("a", "1", 10.0)

    assert len(limits._devices._buckets) == 0


@pytest.mark.parametrize(
    "rules",
    [
        {"wrong_keys_per_device": 0},
        {"wrong_keys_per_source": -1},
        {"seconds_per_wrong_key": 0},
        {"seconds_per_wrong_key": float("nan")},
        {"other": 1},
    ],
)
def test_rules_that_make_no_sense(rules: dict[str, float]) -> None:
    """No patience at all, or a bucket that never leaks, is no rule."""
    with pytest.raises(msgspec.ValidationError):
        msgspec.convert(rules, ThrottleRules)
