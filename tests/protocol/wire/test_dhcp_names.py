# SPDX-License-Identifier: Apache-2.0
"""Tests of umslab_protocol.wire.dhcp_names."""

from __future__ import annotations

from ipaddress import IPv4Address

import pytest

from umslab_protocol.wire.dhcp_names import nameservers, search_domains
from umslab_protocol.wire.dhcp_options import Option

LISTED = b"\x03eng\x05apple\x03com\x00\x09marketing\xc0\x04"  # the example of RFC 3397 section 2


def test_name_servers() -> None:
    """In their order; nonsense is none."""
    assert (IPv4Address("10.0.0.1"), IPv4Address("10.0.0.2")) == nameservers(
        [Option(6, bytes((10, 0, 0, 1, 10, 0, 0, 2)))]
    )
    assert () == nameservers([]) == nameservers([Option(6, b"abc")])


def test_the_list_beats_the_single_domain() -> None:
    """Option 119 with compression; option 15 alone, also with several in it."""
    assert ("eng.apple.com", "marketing.apple.com") == search_domains(
        [Option(15, b"other.example"), Option(119, LISTED)]
    )
    assert ("lab.example", "b.example") == search_domains([Option(15, b"Lab.example. b.example\0")])
    assert () == search_domains([])


@pytest.mark.parametrize(
    "value",
    [
        b"", b"\0", b"\x05ab", b"\xc0", b"\xc0\x00", b"\xc0\x05", b"\x80a", b"\x01a\xc0\x02", b"\x01 \0",
        b"\x3fa" + b"a" * 62 + b"\x3f" + b"a" * 63 + b"\xc0\x00",
    ],
)  # fmt: skip
def test_what_cannot_be_read(value: bytes) -> None:
    """Cut names, loops, and what is no name leave the other option in force."""
    assert ("lab.example",) == search_domains([Option(119, value), Option(15, b"lab.example")])


def test_long_lists_are_cut() -> None:
    """At most so many domains count."""
    assert 32 == len(
        search_domains(
            [Option(119, b"".join(b"\x02d%01x\0" % (n % 16) if n < 16 else b"\x03d%02x\0" % n for n in range(40)))]
        )
    )
