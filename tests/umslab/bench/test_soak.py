# SPDX-License-Identifier: Apache-2.0
"""The soak runs small: everything happens, nothing is lost; its judgements are checked against known data."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

from tests.support.process import clean_environment
from umslab.bench.soak import highest_change, highest_rate


def test_it_runs_small() -> None:
    """Devices come, stay, answer a command, lose their server and are all back in step; the numbers say so."""
    done = subprocess.run(
        [
            sys.executable,
            "-m",
            "umslab.bench",
            "soak",
            "--devices",
            "40",
            "--minutes",
            "0.05",
            "--rate",
            "20",
            "--json",
        ],
        capture_output=True,
        text=True,
        check=False,
        timeout=240,
        env=clean_environment(),
    )
    assert done.returncode in {0, 99}, done.stderr
    found = {measure["name"]: measure["product"] for measure in json.loads(done.stdout)["measures"]}

    assert 40 == found["managed at once"]
    assert 0 == found["sessions lost before the restart"]
    assert 0 == found["heartbeats"]
    assert 40 == found["commands answered"]
    assert 40 == found["managed and in step after the restart"]
    assert 0 == found["identities that are not the device's own"]
    assert 0 == found["hellos of another device"]
    assert found["reconnects in the busiest seconds"] > 0
    assert found["restart, until all are managed"] > 0
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize(
    ("rate", "samples"),
    [
        (5.0, [(0.0, 0.0), (2.0, 10.0)]),  # less than a window: what there is counts as one
        (20.0, [(0.0, 0.0), (1.0, 30.0), (2.0, 40.0)]),
        (30.0, [(0.0, 0.0), (2.0, 10.0), (4.0, 70.0), (6.0, 75.0)]),
    ],
)
def test_the_highest_rate_of_a_window(rate: float, samples: list[tuple[float, float]]) -> None:
    """Two seconds are a window: peaks within it are evened out, those of two windows are not."""
    assert rate == highest_rate(samples, 2.0)


def test_a_run_shorter_than_the_window() -> None:
    """All that came, over the window."""
    assert 1.0 == highest_rate([(0.0, 0.0), (1.0, 10.0)], 10.0)


@pytest.mark.parametrize(
    ("change", "after"),
    [
        (0.5, 0.0),  # 100 -> 150
        (0.2, 10.0),  # 125 -> 100, or 125 -> 150
        (0.0, 20.0),
        (0.0, 99.0),  # nothing was seen so late
    ],
)
def test_the_highest_change(change: float, after: float) -> None:
    """Up or down, from the first look at or after the moment."""
    samples = [(0.0, 100.0), (10.0, 125.0), (15.0, 150.0), (20.0, 100.0)]

    assert pytest.approx(change) == highest_change(samples, after)
