# SPDX-License-Identifier: Apache-2.0
"""`umslab fleet scenarios` lists what is shipped, and prints a file to start one's own."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from umslab.cli.fleet.scenarios import scenarios
from umslab.fleet.loading import load_scenario, shipped_names
from umslab.settings import SettingsError

if TYPE_CHECKING:
    from pathlib import Path


def test_the_list(capsys: pytest.CaptureFixture[str]) -> None:
    """Names and what happens; the same for machines."""
    scenarios()
    table = capsys.readouterr().out
    scenarios(as_json=True)
    listed = json.loads(capsys.readouterr().out)["scenarios"]

    assert all(name in table for name in shipped_names())
    assert shipped_names() == [one["name"] for one in listed]


def test_a_file_to_start_ones_own(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    """What is printed is the scenario."""
    scenarios("rollout")
    file = tmp_path / "mine.toml"
    file.write_text(capsys.readouterr().out)

    assert load_scenario("rollout", []) == load_scenario(str(file), [])


def test_an_unknown_one() -> None:
    """The known ones are named."""
    with pytest.raises(SettingsError, match="smoke"):
        scenarios("nope")
