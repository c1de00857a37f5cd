# SPDX-License-Identifier: Apache-2.0
"""Tests of umslab.facts: docs/facts.md is read whole, and an ordinary install has it."""

from __future__ import annotations

import re
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from umslab import facts
from umslab.facts import Fact, FactsMissingError, load_facts, parse_facts

ROOT = Path(__file__).parents[2]
DOCUMENT = ROOT / "docs" / "facts.md"
TEXT = """\
# Title

## Ports

| No. | Fact | Source | Conf. |
|---|---|---|---|
| P1 | One port, `8443`, see [protocol](protocol.md) | Guide; KB | D/I |
| D9a | Bytes | from others | odd, Dc |

## Not published

| No. | What | What umslab does |
|---|---|---|
| NP6 | Messages | simulated |
"""


def test_rows() -> None:
    """Numbers, texts without markup, sources, confidence in words, sections."""
    found = parse_facts(TEXT)

    words = "documented by the vendor; implied by other facts, stated by nobody"
    assert Fact("P1", "One port, 8443, see protocol", "Guide; KB", words, "Ports") == found["P1"]
    assert "odd; documented by its community or a third party" == found["D9A"].confidence
    assert "Messages. What umslab does instead: simulated" == found["NP6"].text
    assert ["P1", "D9A", "NP6"] == list(found)


def test_every_row_of_the_document_is_read() -> None:
    """None is lost, and each has a text, a source and a confidence in words."""
    numbers = re.findall(r"(?m)^\| ([A-Z]{1,3}\d+[a-z]?) \|", DOCUMENT.read_text(encoding="utf-8"))
    found = load_facts()

    assert {number.upper() for number in numbers} == set(found)
    assert all(fact.text and fact.source and len(fact.confidence) > 5 and fact.section for fact in found.values())


def test_a_broken_installation(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Told in a sentence."""
    monkeypatch.setattr(facts, "__file__", str(tmp_path / "a" / "b" / "facts.py"))
    with pytest.raises(FactsMissingError, match="not whole"):
        facts._path()


def test_the_wheel_has_the_document(tmp_path: Path) -> None:
    """Built as an ordinary install would build it: the same bytes, where the module looks."""
    command = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(tmp_path)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False, timeout=120)
    assert 0 == done.returncode, done.stderr
    (wheel,) = tmp_path.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        assert DOCUMENT.read_bytes() == archive.read("umslab/facts.md")
