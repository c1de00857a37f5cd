# SPDX-License-Identifier: Apache-2.0
"""`umslab fleet compare` as a user meets it."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from tests.support.fleet_runs import run_report, storm
from tests.support.here import run_here
from umslab_agent.fleet.report import encode_report

if TYPE_CHECKING:
    from pathlib import Path


def test_two_runs(tmp_path: Path) -> None:
    """What is different, both numbers and their ratio; the same as JSON."""
    a, b = tmp_path / "a.json", tmp_path / "b.json"
    a.write_bytes(encode_report(run_report(retry="flat 5 s")))
    b.write_bytes(encode_report(run_report(storm(seed=3), retry="exponential")))
    done = run_here("fleet", "compare", str(a), str(b))
    document = json.loads(run_here("fleet", "compare", str(a), str(b), "--json").stdout)["comparison"]
    rows = {row["what"]: row for row in document["rows"]}

    assert (0, "") == (done.returncode, done.stderr)
    assert "Different: retry: flat 5 s | exponential" in done.stdout
    assert "restart: 99 % managed after" in done.stdout
    assert 1.0 == rows["devices managed"]["ratio"]
    assert rows["managed p99"]["b"] / rows["managed p99"]["a"] == rows["managed p99"]["ratio"]


def test_a_file_that_is_no_report(tmp_path: Path) -> None:
    """Says which."""
    (tmp_path / "a.json").write_text("{}")
    done = run_here("fleet", "compare", str(tmp_path / "a.json"), str(tmp_path / "b.json"))

    assert 1 == done.returncode
    assert "a.json: this is no report of a fleet run" in done.stderr
