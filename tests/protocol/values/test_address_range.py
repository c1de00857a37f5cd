# SPDX-License-Identifier: Apache-2.0
"""Tests of umslab_protocol.values.address_range."""

from __future__ import annotations

import pytest

from umslab_protocol.errors import InvalidValueError
from umslab_protocol.values.address_range import MAX_ADDRESSES, parse_ranges, parse_subnet


@pytest.mark.parametrize(
    ("texts", "expected"),
    [
        ([], []),
        (["192.0.2.7"], ["192.0.2.7"]),
        (["192.0.2.0/30"], ["192.0.2.1", "192.0.2.2"]),
        (["192.0.2.1/31"], ["192.0.2.0", "192.0.2.1"]),
        (["192.0.2.1/32"], ["192.0.2.1"]),
        (["192.0.2.254-192.0.3.1"], ["192.0.2.254", "192.0.2.255", "192.0.3.0", "192.0.3.1"]),
        (["192.0.2.7-9"], ["192.0.2.7", "192.0.2.8", "192.0.2.9"]),
        (["192.0.2.7-8", "192.0.2.8", "192.0.2.6"], ["192.0.2.7", "192.0.2.8", "192.0.2.6"]),
    ],
)
def test_ranges(texts: list[str], expected: list[str]) -> None:
    """Each address once, in the order in which it was named; of a network its hosts."""
    assert expected == [str(address) for address in parse_ranges(texts)]


@pytest.mark.parametrize(
    "text",
    ["", "x", "192.0.2", "192.0.2.7-", "192.0.2.9-7", "192.0.2.9-256", "192.0.2.0/33", "192.0.2.0/x", "::1", "::/64",
     "192.0.2.0/255.255.255.0", "1.2.3.4-5-6", "192.0.2.7 ", "192.0.2.0/24\n", "٣.0.0.1"],
)  # fmt: skip
def test_what_is_no_range(text: str) -> None:
    """Said in a sentence, with an example."""
    with pytest.raises(InvalidValueError, match=r"192\.0\.2|before it begins"):
        parse_ranges([text])


def test_ranges_are_bounded() -> None:
    """One by one and together; nothing is counted out before it is refused."""
    assert MAX_ADDRESSES == len(parse_ranges(["10.0.0.0-10.0.255.255"]))
    for texts in (["0.0.0.0/0"], ["10.0.0.0/8"], ["0.0.0.0-255.255.255.255"], ["10.0.0.0-10.0.255.255", "10.1.0.0"]):
        with pytest.raises(InvalidValueError, match=f"more than {MAX_ADDRESSES}"):
            parse_ranges(texts)


@pytest.mark.parametrize(("text", "broadcast"), [("10.1.2.0/24", "10.1.2.255"), ("10.0.0.0/8", "10.255.255.255")])
def test_subnets(text: str, broadcast: str) -> None:
    """What Wake-on-LAN needs of them."""
    assert broadcast == str(parse_subnet(text).broadcast_address)


@pytest.mark.parametrize("text", ["10.0.0.0/7", "10.0.0.0/29", "10.0.0.1", "x/24", ""])
def test_what_is_no_subnet(text: str) -> None:
    """Only /8 to /28 (WL2)."""
    with pytest.raises(InvalidValueError):
        parse_subnet(text)
