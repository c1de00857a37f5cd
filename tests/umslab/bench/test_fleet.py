# SPDX-License-Identifier: Apache-2.0
"""The fleet benchmark runs; its numbers are for `scripts/bench`, not for a test."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

from tests.support.process import clean_environment
from umslab.bench.server_process import percentile_between


def test_it_runs_small() -> None:
    """Devices come on board and come back, all are managed, and every measure has a value."""
    done = subprocess.run(
        [sys.executable, "-m", "umslab.bench", "fleet", "--devices", "100", "--rounds", "1", "--json"],
        capture_output=True,
        text=True,
        check=False,
        timeout=240,
        env=clean_environment(),
    )
    document = json.loads(done.stdout)

    assert done.returncode in {0, 99}, done.stderr
    assert 8 == len(document["measures"])
    assert all(measure["product"] > 0 and measure["other"] > 0 for measure in document["measures"])
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize(("percent", "seconds"), [(50, 0.005), (90, 0.01), (95, 0.055), (100, 0.1)])
def test_percentiles_between_two_scrapes(percent: float, seconds: float) -> None:
    """What was counted before does not count; within a bucket it is interpolated."""
    before = {"0.01": 50.0, "0.1": 60.0, "+Inf": 60.0}
    after = {"0.01": 140.0, "0.1": 160.0, "+Inf": 160.0}

    assert pytest.approx(seconds, rel=0.2) == percentile_between(before, after, percent)


def test_a_percentile_beyond_all_bounds() -> None:
    """The last bound is all that is known."""
    assert 0.1 == percentile_between({"0.1": 0.0, "+Inf": 0.0}, {"0.1": 1.0, "+Inf": 10.0}, 99)
