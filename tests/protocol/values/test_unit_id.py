# SPDX-License-Identifier: Apache-2.0
"""Tests of umslab_protocol.values.unit_id."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from umslab_protocol.errors import InvalidValueError
from umslab_protocol.values.unit_id import UnitId, is_locally_administered, parse_mac, parse_unit_id

if TYPE_CHECKING:
    from collections.abc import Callable


@pytest.mark.parametrize(
    "text",
    [
        "005056938D22",
        "00E0C514325B",
        "020000000001",
        "85641000F615234423",
        "85641000E583142622",
        "85641000D308482019",
    ],
)
def test_documented_samples(text: str) -> None:
    """The samples of the manuals, fixed devices (U1) and UD Pockets (U2)."""
    assert text == parse_unit_id(text)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "00E0C514325",
        "00E0C514325B0",
        "00E0C514325G",
        "00E0C514325B\n",
        "85641001F615234423",
        "85641000F61523442",
        "85641000f615234423",
        "../../etc/passwd",
        "\u0660" * 12,
    ],
)
def test_refuses(text: str) -> None:
    """Another length, another alphabet, another beginning; the message shows both forms that would do."""
    with pytest.raises(InvalidValueError, match=r"12 upper-case hexadecimal digits.*18 characters of a UD Pocket"):
        parse_unit_id(text)


@pytest.mark.parametrize("text", ["00e0c514325b", "00:E0:C5:14:32:5B", "00-e0-c5-14-32-5b", "00e0.c514.325b"])
def test_a_mac_address_gets_a_hint(text: str) -> None:
    """Who types a MAC address as the sticker has it is told how to write it."""
    with pytest.raises(InvalidValueError, match=r"\(write it in upper case without separators\)$"):
        parse_unit_id(text)


def test_other_texts_get_no_hint() -> None:
    """The hint is for MAC addresses only."""
    with pytest.raises(InvalidValueError, match=r"85641000$"):
        parse_unit_id("kitchen")


@pytest.mark.parametrize("parse", [parse_unit_id, parse_mac])
def test_a_long_text_is_cut(parse: Callable[[str], str]) -> None:
    """The message shows only its beginning."""
    with pytest.raises(InvalidValueError) as caught:
        parse("0" * 100_000)

    assert len(str(caught.value)) < 250


@pytest.mark.parametrize(
    "text", ["00E0C514325B", "00e0c514325b", "00:E0:C5:14:32:5B", "00-e0-c5-14-32-5b", "00e0.c514.325b"]
)
def test_mac(text: str) -> None:
    """Any usual way to write a MAC address gives the one normal form."""
    assert "00E0C514325B" == parse_mac(text)


@pytest.mark.parametrize(
    "text", ["", "00E0C514325", "00E0C514325BB", "00 E0 C5 14 32 5B", "00E0C514325G", "\ufb00" * 6]
)
def test_mac_refuses(text: str) -> None:
    """Anything else is refused, also what merely looks like digits; the message shows an example."""
    with pytest.raises(InvalidValueError, match="is not a MAC address: expected 12 hexadecimal digits such as"):
        parse_mac(text)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("020000000001", True),
        ("FEFFFFFFFFFF", True),
        ("00E0C514325B", False),
        ("FDFFFFFFFFFF", False),
        ("85641000F615234423", False),
    ],
)
def test_locally_administered(text: str, expected: bool) -> None:  # noqa: FBT001 - a column of the table
    """The second-lowest bit of the first octet tells; a UD Pocket's serial number is never ours."""
    assert expected is is_locally_administered(UnitId(text))
