# SPDX-License-Identifier: Apache-2.0
"""Reports on disk: whole or not at all, and errors with the name of the file."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.support.fleet_runs import run_report
from umslab.fleet.report_files import read_report, write_output
from umslab_agent.fleet.report import ReportError, encode_report

if TYPE_CHECKING:
    from pathlib import Path


def test_there_and_back(tmp_path: Path) -> None:
    """And for nobody else to read."""
    file = tmp_path / "run.json"
    write_output(file, encode_report(run_report()))

    assert run_report() == read_report(file)
    assert 0o600 == file.stat().st_mode & 0o777


def test_errors_name_the_file(tmp_path: Path) -> None:
    """One that is not there, one that is no report, one that cannot be written."""
    nothing, other = tmp_path / "nothing.json", tmp_path / "other.json"
    other.write_text('{"format": "\\u001b[2J"}')

    with pytest.raises(ReportError, match=r"nothing\.json cannot be read"):
        read_report(nothing)
    with pytest.raises(ReportError, match=r"other\.json: this is no report"):
        read_report(other)
    with pytest.raises(ReportError, match="cannot be written: No such file"):
        write_output(tmp_path / "no" / "run.json", b"")
