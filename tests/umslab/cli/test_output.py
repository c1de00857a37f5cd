# SPDX-License-Identifier: Apache-2.0
"""Tables and JSON, and errors out of groups."""

from __future__ import annotations

import json
import time

import pytest
import trio

from umslab.cli.output import cell, print_json, print_pairs, print_table, run_async


def test_a_table_tames_what_peers_said(capsys: pytest.CaptureFixture[str]) -> None:
    """Escape sequences and markup in a device's name are shown as text."""
    print_table(("unit ID", "name"), [("02AA", "\x1b[31m[red]x")], empty="nothing")
    shown = capsys.readouterr().out

    assert "\x1b" not in shown
    assert r"\x1b[31m[red]x" in shown


def test_an_empty_table_is_a_sentence(capsys: pytest.CaptureFixture[str]) -> None:
    """Rather than headings above nothing."""
    print_table(("a",), [], empty="nothing here")

    assert "nothing here\n" == capsys.readouterr().out


def test_cells() -> None:
    """Nothing, truth and numbers have a form."""
    assert ["-", "-", "yes", "no", "5"] == [str(cell(value)) for value in (None, "", True, False, 5)]


def test_pairs(capsys: pytest.CaptureFixture[str]) -> None:
    """Names and values side by side."""
    print_pairs([("state", "ok"), ("reason", None)])

    assert [["state", "ok"], ["reason", "-"]] == [line.split() for line in capsys.readouterr().out.splitlines()]


def test_json_is_versioned(capsys: pytest.CaptureFixture[str]) -> None:
    """Machines can tell the format."""
    print_json("things", [1])

    assert {"version": 1, "things": [1]} == json.loads(capsys.readouterr().out)


def test_an_error_in_a_group_is_told_alone() -> None:
    """Trio's groups never reach a user."""

    async def fail() -> None:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(trio.sleep_forever)
            raise ValueError("the reason")

    with pytest.raises(ValueError, match="the reason"):
        run_async(fail)


def test_many_rows_are_laid_out_at_once(capsys: pytest.CaptureFixture[str]) -> None:
    """Twenty thousand rows in plain columns, tamed and complete; as few as before look as before."""
    rows = [(f"{number:012X}", "\x1b[31mred" if number == 7 else None, True) for number in range(20_000)]
    began = time.process_time()
    print_table(("unit ID", "name", "here"), rows, empty="nothing")
    lines = capsys.readouterr().out.splitlines()

    assert 20_001 == len(lines)
    assert ["unit ID", "000000000000", r"000000000007  \x1b[31mred  yes"] == [lines[0][:7], lines[1][:12], lines[8]]
    assert lines[1].split() == ["000000000000", "-", "yes"]
    assert time.process_time() - began < 10  # rich needs minutes
