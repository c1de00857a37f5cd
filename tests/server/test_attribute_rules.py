# SPDX-License-Identifier: Apache-2.0
"""Tests of umslab_server.attribute_rules."""

from __future__ import annotations

import pytest

from umslab_server.attribute_rules import (
    MAX_ALLOWED,
    AttributeKind,
    AttributeView,
    WrittenBy,
    check_definition,
    check_value,
)
from umslab_server.errors import RefusedError

NUMBER, DATE, RANGE, STRING = AttributeKind.NUMBER, AttributeKind.DATE, AttributeKind.RANGE, AttributeKind.STRING


def made(
    identifier: str,
    kind: AttributeKind = STRING,
    *,
    by: WrittenBy = WrittenBy.BOTH,
    allowed: tuple[str, ...] = (),
    position: int = 0,
) -> AttributeView:
    """A definition."""
    return AttributeView(
        identifier=identifier, name=identifier, kind=kind, allowed=[*allowed], written_by=by, position=position
    )


@pytest.mark.parametrize(
    ("kind", "good", "bad"),
    [
        (STRING, ["x", "x" * 100, "Bär"], ["x" * 101, "a\nb"]),
        (NUMBER, ["0", "-2.5", "123456789012345"], ["", "1e3", "nan", "1,5", ".5", "٣", "1\n"]),
        (DATE, ["2026-02-28", "0001-01-01"], ["2026-02-29", "2026-2-3", "20260203", "today", "2026-02-28\n"]),
        (RANGE, ["low", "high"], ["Low", "middle", "low\n"]),
    ],
)
def test_values(kind: AttributeKind, good: list[str], bad: list[str]) -> None:
    """Each type with what it takes and what it does not."""
    definition = made("one", kind, allowed=("low", "high") if kind is RANGE else ())
    for value in good:
        check_value(definition, value)
    for value in bad:
        with pytest.raises(RefusedError, match="the device attribute 'one' is "):
            check_value(definition, value)


@pytest.mark.parametrize(
    ("bad", "reason"),
    [
        (made(""), "1 to 255"),
        (made("two", RANGE), "a range needs its allowed values"),
        (made("two", NUMBER, allowed=("1",)), "nothing else has any"),
        (made("two", RANGE, allowed=("a", "a")), "each once"),
        (made("two", RANGE, allowed=tuple(map(str, range(MAX_ALLOWED + 1)))), "at most 200"),
        (made("two", RANGE, allowed=("x" * 101,)), "1 to 100"),
    ],
)
def test_bad_definitions(bad: AttributeView, reason: str) -> None:
    """Each in a sentence."""
    with pytest.raises(RefusedError, match=reason):
        check_definition(bad)
