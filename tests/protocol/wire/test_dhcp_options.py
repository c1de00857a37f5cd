# SPDX-License-Identifier: Apache-2.0
"""Tests of umslab_protocol.wire.dhcp_options."""

from __future__ import annotations

from ipaddress import IPv4Address
from typing import TYPE_CHECKING, Any

import pytest

from umslab_protocol.errors import LocalProtocolError, RemoteProtocolError
from umslab_protocol.wire.dhcp_options import (
    Code,
    DhcpProblem,
    MalformedDhcpError,
    Option,
    gather,
    read_address,
    read_addresses,
    read_field,
    read_seconds,
    read_text,
    write_options,
)

if TYPE_CHECKING:
    from collections.abc import Callable

D9A = bytes.fromhex("01 01 01 E0 0A 31 39 32 2E 30 2E 32 2E 31 30 E2 02 48 51")


def test_the_vendors_example() -> None:
    """D9a: exclusive, 192.0.2.10, HQ, in this order."""
    found = read_field(D9A)

    assert ((1, b"\x01"), (224, b"192.0.2.10"), (226, b"HQ")) == found.pieces
    assert not found.ended
    assert D9A == write_options(gather(found.pieces))


def test_padding_end_and_what_follows() -> None:
    """Padding means nothing; after End nothing is read, and other bytes there are remarked."""
    found = read_field(b"\0\0\x01\x01\x07\0\xff\0\0")

    assert ((1, b"\x07"),) == found.pieces
    assert (True, False) == (found.ended, found.trailing)
    assert read_field(b"\xff\x02\x01\x01").trailing
    assert () == read_field(b"\xff\x02\x01\x01").pieces


@pytest.mark.parametrize(
    ("data", "problem", "word"),
    [
        (b"\x01\x01\x07\xe0", DhcpProblem.OPTION_CUT, "option 224 at byte 3 has no length"),
        (
            b"\x01\x01\x07\xe0\x04abc",
            DhcpProblem.OPTION_OVERRUN,
            "at byte 3 says it has 4 bytes, 3 are left",
        ),
    ],
)
def test_damage_keeps_what_stands_before(data: bytes, problem: DhcpProblem, word: str) -> None:
    """The reason is named, and what was read until then is there."""
    found = read_field(data)

    assert ((1, b"\x07"),) == found.pieces
    assert found.problem is not None
    assert (problem, problem.value) == (found.problem.problem, found.problem.code)
    assert word in str(found.problem)


def test_long_values_are_split_and_joined() -> None:
    """RFC 3396: the pieces of one code are joined in their order, wherever they stand."""
    value = bytes(range(256)) * 2
    written = write_options([Option(224, value), Option(7, b"")])
    joined = gather([*read_field(written).pieces, (224, b"tail")])

    assert 512 + 3 * 2 + 2 == len(written)
    assert (Option(224, value + b"tail"), Option(7, b"")) == joined
    assert [4, 1] == [option.pieces for option in joined]


@pytest.mark.parametrize("code", [-1, 0, 255, 256])
def test_codes_without_a_value(code: int) -> None:
    """Pad and End are no options with a value."""
    with pytest.raises(LocalProtocolError, match=str(code)):
        Option(code, b"")


def test_values() -> None:
    """Addresses, numbers, texts."""
    assert IPv4Address("192.0.2.1") == read_address(Option(54, b"\xc0\0\x02\x01"))
    assert (IPv4Address("192.0.2.1"), IPv4Address("0.0.0.0")) == read_addresses(Option(6, b"\xc0\0\x02\x01\0\0\0\0"))
    assert 0xFFFFFFFF == read_seconds(Option(51, b"\xff" * 4))
    assert "ums\N{REPLACEMENT CHARACTER}" == read_text(Option(56, b"ums\xff\0\0"))


@pytest.mark.parametrize("read", [read_address, read_addresses, read_seconds])
@pytest.mark.parametrize("value", [b"", b"abc", b"abcde"])
def test_values_of_the_wrong_length(read: Callable[[Option], Any], value: bytes) -> None:
    """The peer's fault, by name."""
    with pytest.raises(MalformedDhcpError, match=f"option 54 has {len(value)} bytes") as caught:
        read(Option(54, value))

    assert DhcpProblem.BAD_VALUE is caught.value.problem
    assert isinstance(caught.value, RemoteProtocolError)


def test_names_of_problems_and_codes_differ() -> None:
    """An enumeration silently makes equal rows one."""
    assert list(DhcpProblem.__members__) == [row.name for row in DhcpProblem]
    assert list(Code.__members__) == [row.name for row in Code]
