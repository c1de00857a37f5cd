# SPDX-License-Identifier: Apache-2.0
"""Answers of several processes are one; a rate is shared out so that all end together."""

from __future__ import annotations

from typing import Any

import pytest

from umslab.fleet.joining import join, share_rate


@pytest.mark.parametrize(
    ("name", "answers", "joined"),
    [
        ("pause", [{"changed": False, "to_come": 2}, {"changed": True, "to_come": 3}], {"changed": True, "to_come": 5}),
        ("resume", [{"changed": False, "to_come": 2}], {"changed": False, "to_come": 2}),
        (
            "rate",
            [{"per_second": 1.5, "to_come": 2}, {"per_second": 3.0, "to_come": 4}],
            {"per_second": 4.5, "to_come": 6},
        ),
        (
            "disconnect",
            [
                {"who": "a", "devices": 2, "sessions": 1, "seconds": 5.0},
                {"who": "a", "devices": 1, "sessions": 1, "seconds": 5.0},
            ],
            {"who": "a", "devices": 3, "sessions": 2, "seconds": 5.0},
        ),
        ("device", [{"index": 7}], {"index": 7}),
    ],
)
def test_one_answer(name: str, answers: list[dict[str, Any]], joined: dict[str, Any]) -> None:
    """Counts are added up, what is the same stays."""
    assert joined == join(name, answers)


def test_a_status() -> None:
    """Levels and failures of both; latencies are the slowest's, as in the live view."""
    glance = {
        "due": 3,
        "arrived": 2,
        "paused": False,
        "left": 5.0,
        "steps": {"tcp": {"count": 2, "p50": 0.1, "p90": 0.2, "p99": 0.3}},
        "causes": {"server: tls silent": 1},
        "cpu": 0.5,
        "lag": 0.1,
        "memory": 100,
    }
    one = {"phase": "onboard", "seconds": 4.0, "levels": {"managed": 2}, "failures": 1, "glance": glance}
    joined = join("status", [one, one])

    assert ({"managed": 4}, 2, "onboard") == (joined["levels"], joined["failures"], joined["phase"])
    assert (6, 4, 2) == (
        joined["glance"]["due"],
        joined["glance"]["steps"]["tcp"]["count"],
        joined["glance"]["processes"],
    )


def test_a_rate_is_shared_out() -> None:
    """By how many are to come, one process after the other; nobody is asked who has nobody to come."""
    shares = share_rate(10.0, [30, 0, 10])

    assert [{"per_second": 7.5, "after_seconds": 0.0}, None, {"per_second": 2.5, "after_seconds": 0.1}] == shares
    assert [None] == share_rate(10.0, [0])
