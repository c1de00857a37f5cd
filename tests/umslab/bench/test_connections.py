# SPDX-License-Identifier: Apache-2.0
"""The connection benchmark runs; its numbers are for `scripts/bench`, not for a test."""

from __future__ import annotations

import json
import subprocess
import sys

from tests.support.process import clean_environment


def test_it_runs_small() -> None:
    """All three contenders connect and talk; the exit code is that of a benchmark."""
    done = subprocess.run(
        [sys.executable, "-m", "umslab.bench", "connections", "--connections", "100", "--rounds", "1", "--json"],
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
        env=clean_environment(),
    )
    document = json.loads(done.stdout)

    assert done.returncode in {0, 99}, done.stderr
    assert 8 == len(document["measures"])
    assert all(measure["product"] > 0 and measure["other"] > 0 for measure in document["measures"])
    assert "Traceback" not in done.stderr


def test_help() -> None:
    """The verb explains itself."""
    command = [sys.executable, "-m", "umslab.bench", "connections", "--help"]
    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=60)

    assert "--connections" in done.stdout
