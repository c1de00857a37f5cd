# SPDX-License-Identifier: Apache-2.0
"""Tests of umslab.explain_ports."""

from __future__ import annotations

import pytest

from umslab.explain_ports import PORTS, parse_generations, ports_for
from umslab.facts import load_facts
from umslab_protocol.errors import InvalidValueError


def test_every_port_fact_has_one_row() -> None:
    """Nothing of the facts is missing, nothing is invented."""
    known = {number for number in load_facts() if number.startswith("P")}

    assert known == {row.fact for row in PORTS}
    assert len(PORTS) == len(known)


@pytest.mark.parametrize(("text", "wanted"), [("11", (11,)), ("12", (12,)), ("12,11", (11, 12)), ("11, 12", (11, 12))])
def test_generations(text: str, wanted: tuple[int, ...]) -> None:
    """In any order."""
    assert wanted == parse_generations(text)


@pytest.mark.parametrize("text", ["", "10", "11;12", "11,", "all"])
def test_generations_that_are_none(text: str) -> None:
    """Told with what would be."""
    with pytest.raises(InvalidValueError, match="11,12"):
        parse_generations(text)


def test_selection() -> None:
    """A generation's rows, and those that are always needed."""
    twelve = {row.fact for row in ports_for((12,))}

    assert {"P1", "P3", "P9", "P22"} <= twelve
    assert not {"P2", "P7", "P10"} & twelve
    assert list(PORTS) == ports_for((11, 12))
