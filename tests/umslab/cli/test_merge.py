# SPDX-License-Identifier: Apache-2.0
"""`umslab merge` as a user meets it."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from tests.support.fleet_runs import run_report, storm
from tests.support.here import run_here
from umslab_agent.fleet.merging import merge_reports
from umslab_agent.fleet.report import decode_report, encode_report

if TYPE_CHECKING:
    from pathlib import Path


def _shards(folder: Path, *, thresholds: tuple[str, ...] = ()) -> list[str]:
    files = []
    for number in (1, 2):
        file = folder / f"shard-{number}.json"
        measured = storm(seed=number, shard=number)
        file.write_bytes(encode_report(run_report(measured, number=number, of=2, thresholds=thresholds)))
        files.append(str(file))
    return files


def test_all_shards(tmp_path: Path) -> None:
    """The whole is written, shown, and judged as one run."""
    files, out = _shards(tmp_path), tmp_path / "run.json"
    done = run_here("merge", *reversed(files), "-o", str(out))
    shards = [decode_report((tmp_path / f"shard-{number}.json").read_bytes()) for number in (1, 2)]

    assert (0, "") == (done.returncode, done.stderr)
    assert "120 of 120 devices were managed" in done.stdout
    assert encode_report(merge_reports(shards)) == out.read_bytes()


def test_a_missing_shard(tmp_path: Path) -> None:
    """Is named, and the exit code says that it is not the whole."""
    files = _shards(tmp_path)
    done = run_here("merge", files[1], "-o", str(tmp_path / "run.json"), "--json")

    assert 3 == done.returncode
    assert [1] == json.loads(done.stdout)["report"]["missingShards"]


def test_a_threshold_of_the_whole(tmp_path: Path) -> None:
    """Each half kept it; the whole does not."""
    files = _shards(tmp_path, thresholds=("managed < 100",))

    assert 99 == run_here("merge", *files, "-o", str(tmp_path / "run.json")).returncode


def test_what_does_not_belong_together(tmp_path: Path) -> None:
    """One shard twice: nothing is written."""
    files, out = _shards(tmp_path), tmp_path / "run.json"
    done = run_here("merge", files[0], files[0], "-o", str(out))

    assert 1 == done.returncode
    assert "umslab: shard 1/2 is in two of the reports" in done.stderr
    assert not out.exists()
