# SPDX-License-Identifier: Apache-2.0
"""The facts of docs/facts.md, by number: what is known, who says so, how sure that is.

The document itself is shipped: a wheel has it as `umslab/facts.md` (pyproject.toml), a checkout as `docs/facts.md`. So
there is one text, and nothing to go stale.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cache
from pathlib import Path

_ROW = re.compile(r"\| ([A-Z]{1,3}[0-9]+[a-z]?) \| (.*) \|")
_CELL = re.compile(r"(?<!\\) \| ")
_LINK = re.compile(r"\[([^\]]*)\]\([^)]*\)")
_CONFIDENCE = {
    "D": "documented by the vendor",
    "Dc": "documented by its community or a third party",
    "I": "implied by other facts, stated by nobody",
    "U": "unknown: looked for and not found in public sources",
}


class FactsMissingError(Exception):
    """The document was not found: a broken installation."""


@dataclass(frozen=True, slots=True)
class Fact:
    """One row."""

    number: str
    text: str
    source: str
    confidence: str
    """In words."""
    section: str


def _path() -> Path:
    here = Path(__file__).parent
    for path in (here / "facts.md", here.parents[1] / "docs" / "facts.md"):
        if path.is_file():
            return path
    raise FactsMissingError("facts.md is not where it should be: this installation of umslab is not whole")


@cache
def load_facts() -> dict[str, Fact]:
    """Read all facts, by number in upper case; raises `FactsMissingError`."""
    return parse_facts(_path().read_text(encoding="utf-8"))


def parse_facts(text: str) -> dict[str, Fact]:
    """Read the rows of the document's tables."""
    facts: dict[str, Fact] = {}
    section = ""
    for line in text.splitlines():
        if line.startswith("## "):
            section = line.removeprefix("## ").strip()
        elif match := _ROW.fullmatch(line.strip()):
            cells = [_LINK.sub(r"\1", cell).replace("`", "") for cell in _CELL.split(match[2])]
            facts[match[1].upper()] = _fact(match[1], cells, section)
    return facts


def _fact(number: str, cells: list[str], section: str) -> Fact:
    if len(cells) >= 3:
        return Fact(number, cells[0], cells[1], _in_words(cells[2]), section)
    does = f" What umslab does instead: {cells[1]}" if len(cells) == 2 else ""
    return Fact(number, f"{cells[0]}.{does}", "looked for", _CONFIDENCE["U"], section)


def _in_words(marks: str) -> str:
    """From `D`, `D/I` or `Dc, conflict` to words."""
    known = [_CONFIDENCE.get(mark, mark) for mark in re.split(r"[/,]\s*", marks)]
    return "; ".join(known)
