# SPDX-License-Identifier: Apache-2.0
"""Documents that are made from the code are up to date, and their links lead somewhere."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pytest

from tests.docs.generate import DOCUMENTS, PARTS, ROOT, regenerate

if TYPE_CHECKING:
    from pathlib import Path

_LINK = re.compile(r"\]\(([^)\s]+)\)")


def _name(path: Path) -> str:
    return str(path.relative_to(ROOT))


@pytest.mark.parametrize("path", DOCUMENTS, ids=_name)
def test_made_parts_are_fresh(path: Path) -> None:
    """`python -m tests.docs.generate` would change nothing."""
    text = path.read_text(encoding="utf-8")

    assert regenerate(text) == text


def test_every_part_is_used() -> None:
    """No maker without a document."""
    text = "".join(path.read_text(encoding="utf-8") for path in DOCUMENTS)

    assert set(PARTS) == set(re.findall(r"<!-- begin: ([a-z-]+) -->", text))


@pytest.mark.parametrize("path", DOCUMENTS, ids=_name)
def test_links_lead_somewhere(path: Path) -> None:
    """Relative links name files of this tree, and headings that are there."""
    for link in _LINK.findall(path.read_text(encoding="utf-8")):
        if "://" in link:
            continue
        file, _, anchor = link.partition("#")
        target = (path.parent / file).resolve() if file else path

        assert target.exists(), link
        if anchor:
            headings = re.findall(r"^#+ (.*)$", target.read_text(encoding="utf-8"), re.MULTILINE)
            assert anchor in {re.sub(r"[^a-z0-9 -]", "", one.lower()).replace(" ", "-") for one in headings}
