# SPDX-License-Identifier: Apache-2.0
"""The shipped scenarios run by themselves, scaled to the time that there is; what comes out are reports."""

from __future__ import annotations

import json
import subprocess
import sys
import xml.etree.ElementTree as ET
from typing import TYPE_CHECKING

import pytest

from tests.support.process import clean_environment
from umslab.bench.scenarios import SPARE, Ran, scale_for, tell
from umslab.fleet.loading import load_scenario, shipped_names
from umslab.fleet.report_files import read_report
from umslab_agent.fleet.plan import make_plan

if TYPE_CHECKING:
    from pathlib import Path


def _bench(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "umslab.bench", "scenarios", *arguments],
        capture_output=True,
        text=True,
        check=False,
        timeout=240,
        env=clean_environment(),
    )


@pytest.mark.slow
def test_two_run_small(tmp_path: Path) -> None:
    """Each against a server of its own, one of them a busy one: all managed, reports, pages and pictures are there."""
    done = _bench(
        *("smoke", "server-restart", "--devices", "5", "--time-limit", "12s", "--json"),
        *("--out", str(tmp_path), "--pictures", str(tmp_path / "svg")),
    )
    found = json.loads(done.stdout)["scenarios"]

    assert (0, ["smoke", "server-restart"]) == (done.returncode, [one["name"] for one in found]), done.stderr
    assert [(5, [])] * 2 == [(one["managed"], one["missed"]) for one in found]
    for one in found:
        assert one["name"] == read_report(tmp_path / f"{one['name']}.json").plan.scenario
        assert (tmp_path / f"{one['name']}.html").read_text().startswith("<!DOCTYPE html>")
        ET.parse(tmp_path / "svg" / f"{one['name']}-devices.svg")  # noqa: S314 - our own


@pytest.mark.parametrize(
    ("arguments", "words"),
    [(("nope",), "boot-storm"), (("--time-limit", "soon"), "soon"), (("--time-limit", "0"), "more than")],
)
def test_what_cannot_be(arguments: tuple[str, ...], words: str) -> None:
    """Names and times are checked before a server is started."""
    done = _bench(*arguments)

    assert 2 == done.returncode
    assert words in " ".join(done.stderr.split())


@pytest.mark.parametrize("name", shipped_names())
def test_each_lasts_at_most_half_an_hour(name: str) -> None:
    """By its plan, with room for what devices need; none is slowed down."""
    scale = scale_for(name, 50, 1800)
    scenario = load_scenario(name, [("devices", 50), ("time_scale", scale)])

    assert make_plan(scenario).seconds * SPARE <= 1800
    assert load_scenario(name, []).time_scale <= scale


def test_a_missed_threshold_is_99(capsys: pytest.CaptureFixture[str]) -> None:
    """It is named."""
    kept = Ran("smoke", 10, 1.0, 5.0, 10, 0, [], "smoke.json", "smoke.html")
    missed = Ran("soak", 10, 60.0, 5.0, 9, 3, ["managed >= 100%"], "soak.json", "soak.html")

    assert (0, 99) == (tell([kept], as_json=False), tell([kept, missed], as_json=False))
    assert "MISSED managed >= 100%" in capsys.readouterr().out
    assert 99 == tell([missed], as_json=True)
