# SPDX-License-Identifier: Apache-2.0
"""`umslab fleet report` as a user meets it."""

from __future__ import annotations

import json
import xml.etree.ElementTree as ET
from typing import TYPE_CHECKING

import pytest

from tests.support.fleet_runs import run_report
from tests.support.here import run_here
from umslab.cli.fleet.report import with_thresholds
from umslab.cli.output import UserError
from umslab_agent.fleet.report import encode_report

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def run(tmp_path: Path) -> Path:
    """The report of a run."""
    file = tmp_path / "run.json"
    file.write_bytes(encode_report(run_report(thresholds=("managed.p99 < 1us",))))
    return file


def test_all_forms_at_once(run: Path) -> None:
    """Text on the terminal, a page and JUnit in files; the run's own thresholds are told and do not decide."""
    html, xml = run.with_suffix(".html"), run.with_suffix(".xml")
    done = run_here("fleet", "report", str(run), "--html", str(html), "--junit", str(xml))

    assert (0, "") == (done.returncode, done.stderr)
    assert "MISSED" in done.stdout
    assert html.read_text().startswith("<!DOCTYPE html>")
    assert "1" == ET.parse(xml).getroot().get("failures")  # noqa: S314 - our own


def test_pictures(run: Path) -> None:
    """Each chart in a file of its own, named after the report."""
    done = run_here("fleet", "report", str(run), "--svg", str(run.parent / "svg"))

    assert (0, "") == (done.returncode, done.stderr)
    assert {f"run-{what}.svg" for what in ("devices", "arrivals", "latency", "failures")} == {
        file.name for file in (run.parent / "svg").iterdir()
    }


def test_judged_anew(run: Path) -> None:
    """With thresholds of the command line instead of the run's; JSON has their results beside the numbers."""
    kept = run_here("fleet", "report", str(run), "--threshold", "managed.p99 < 1h")
    missed = run_here("fleet", "report", str(run), "--json", "--threshold", "tls.p99 < 1us", "--threshold", "failed<1%")
    document = json.loads(missed.stdout)["report"]

    assert (0, 99) == (kept.returncode, missed.returncode)
    assert [False, True] == [one["met"] for one in document["thresholds"]]
    assert (60, 60, True) == (document["devices"], document["managed"], document["simulated"])


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (["nothing.json"], 1, "nothing.json cannot be read"),
        (["{run}", "--threshold", "lunch < 1h"], 2, "there is no metric 'lunch'"),
        (["{run}", "--html", "/nowhere/at/all.html"], 1, "cannot be written"),
        ([], 2, "Missing argument"),
    ],
)
def test_what_is_wrong(run: Path, arguments: list[str], code: int, words: str) -> None:
    """A sentence, and no traceback."""
    done = run_here("fleet", "report", *(one.replace("{run}", str(run)) for one in arguments))

    assert code == done.returncode
    assert words in done.stderr
    assert "Traceback" not in done.stderr


def test_too_many_thresholds() -> None:
    """A report has room for a hundred."""
    with pytest.raises(UserError, match="at most 100"):
        with_thresholds(run_report(), ["failed < 1%"] * 101)
