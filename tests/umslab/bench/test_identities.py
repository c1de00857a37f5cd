# SPDX-License-Identifier: Apache-2.0
"""Mixed-up identities are found, checked against known data."""

from __future__ import annotations

from dataclasses import replace

import pytest

from umslab.bench.identities import Identity, wrong_identities

ONE, TWO = "02FA418026D3", "028FF6135B0A"
KNOWN = {ONE: Identity("aa", ONE, "S1"), TWO: Identity("bb", TWO, "S2")}


def test_all_are_themselves() -> None:
    """Both sides agree, and each certificate names its own device."""
    assert [] == wrong_identities(KNOWN, dict(KNOWN))


@pytest.mark.parametrize(
    ("wrong", "known"),
    [
        ([ONE], {TWO: KNOWN[TWO]}),
        (["02AAAAAAAAAA"], {**KNOWN, "02AAAAAAAAAA": Identity("cc", "02AAAAAAAAAA", "S3")}),
        ([TWO], {**KNOWN, TWO: replace(KNOWN[TWO], serial_number="S1")}),
        ([TWO, ONE], {ONE: replace(KNOWN[ONE], certificate="bb"), TWO: replace(KNOWN[TWO], certificate="aa")}),
    ],
    ids=["not registered", "a stranger", "tells of another's hardware", "certificates swapped"],
)
def test_the_sides_differ(wrong: list[str], known: dict[str, Identity]) -> None:
    """Whoever only one side knows, or knows otherwise, is named."""
    assert wrong == wrong_identities(KNOWN, known)


def test_a_certificate_that_names_another() -> None:
    """Also when both sides agree about it."""
    mixed = {**KNOWN, ONE: replace(KNOWN[ONE], named=TWO)}

    assert [ONE] == wrong_identities(mixed, mixed)
