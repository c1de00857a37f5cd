# SPDX-License-Identifier: Apache-2.0
"""A missed target is told and has an exit code of its own."""

from __future__ import annotations

import json

import pytest

from umslab.bench.report import Measure, Target, report

MET = Measure("memory", "KiB", 30.0, "bare loop", 28.0, 1.07, Target(at_most=1.25))
MISSED = Measure("connects", "1/s", 100.0, "bare loop", 200.0, 0.5, Target(at_least=0.8))
FREE = Measure("messages", "1/s", 1.0, "peer", 2.0, 0.5, None)


@pytest.mark.parametrize(
    ("target", "ratio", "holds"),
    [
        (Target(at_most=1.25), 1.25, True),
        (Target(at_most=1.25), 1.26, False),
        (Target(at_least=0.8), 0.8, True),
        (Target(at_least=0.8), 0.79, False),
    ],
)
def test_targets(target: Target, ratio: float, holds: bool) -> None:  # noqa: FBT001
    """A bound includes its edge."""
    assert holds == target.holds(ratio)


def test_all_met_is_0(capsys: pytest.CaptureFixture[str]) -> None:
    """The table shows the verdicts; what has no target decides nothing."""
    assert 0 == report("connections", [MET, FREE], as_json=False)
    assert "met" in capsys.readouterr().out


def test_one_missed_is_99(capsys: pytest.CaptureFixture[str]) -> None:
    """With a sentence that names it."""
    assert 99 == report("connections", [MET, MISSED], as_json=False)
    shown = capsys.readouterr().out

    assert "MISSED" in shown
    assert "missed: connects: 0.50 of bare loop, target ≥ 0.80" in shown


def test_json_says_the_same(capsys: pytest.CaptureFixture[str]) -> None:
    """Versioned, with the machine it was measured on."""
    assert 99 == report("connections", [MET, MISSED], as_json=True)
    document = json.loads(capsys.readouterr().out)

    assert (1, "connections") == (document["version"], document["benchmark"])
    assert [True, False] == [measure["met"] for measure in document["measures"]]
    assert {"python", "openssl", "trio", "machine"} == set(document["machine"])
