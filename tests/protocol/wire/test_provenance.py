# SPDX-License-Identifier: Apache-2.0
"""Tests of umslab_protocol.wire.provenance."""

from __future__ import annotations

import re

import pytest

from umslab_protocol.wire.provenance import FORMATS, FormatSource, Provenance


def test_names_are_unique() -> None:
    """One row a format."""
    assert len({row.name for row in FORMATS}) == len(FORMATS)


@pytest.mark.parametrize("row", FORMATS, ids=lambda row: row.name)
def test_every_row_cites_its_source(row: FormatSource) -> None:
    """A standard cites its number; a simulated format cites the gap it fills; a documented one cites a fact."""
    pattern = {
        Provenance.STANDARD: r"(RFC|AMD) \d+",
        Provenance.SIMULATED: r"NP\d+",
        Provenance.DOCUMENTED: r"[A-Z]{1,2}\d+",
    }

    assert re.search(pattern[row.provenance], row.source)


@pytest.mark.parametrize("gap", ["NP5", "NP6", "NP10", "NP11", "NP15", "NP18"])
def test_gaps_are_filled_by_simulated_formats_only(gap: str) -> None:
    """Where the vendor is silent, nothing is presented as the vendor's."""
    rows = [row for row in FORMATS if re.search(rf"\b{gap}\b", row.source)]

    assert [Provenance.SIMULATED] == [row.provenance for row in rows]


def test_the_four_kinds() -> None:
    """Documents and reports print these words."""
    assert ["documented", "standard", "simulated", "borrowed"] == list(Provenance)
