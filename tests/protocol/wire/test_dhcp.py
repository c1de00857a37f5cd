# SPDX-License-Identifier: Apache-2.0
"""Tests of umslab_protocol.wire.dhcp."""

from __future__ import annotations

from dataclasses import replace
from ipaddress import IPv4Address
from typing import Any

import pytest

from umslab_protocol.errors import LocalProtocolError
from umslab_protocol.wire.dhcp import (
    COOKIE,
    MAX_DATAGRAM_BYTES,
    DhcpMessage,
    MessageType,
    Op,
    Quirk,
    hardware_address,
    read_message,
    write_message,
)
from umslab_protocol.wire.dhcp_options import DhcpProblem, MalformedDhcpError, Option

OFFER = DhcpMessage(
    op=Op.REPLY,
    xid=0x12345678,
    chaddr=bytes.fromhex("00E0C5000001"),
    hops=1,
    secs=3,
    flags=0x8000,
    yiaddr=IPv4Address("192.0.2.50"),
    siaddr=IPv4Address("192.0.2.1"),
    giaddr=IPv4Address("192.0.2.254"),
    sname=b"dhcp1",
    file=b"pxelinux.0",
    options=(Option(53, b"\x02"), Option(54, b"\xc0\0\x02\x01"), Option(224, b"ums"), Option(250, b"")),
)


def _raw(
    options: bytes, *, sname: bytes = b"", file: bytes = b"", op: int = 2, hlen: int = 6, cookie: bytes = COOKIE
) -> bytes:
    """A reply written by hand."""
    first = bytes((op, 1, hlen, 0))
    fixed = first + bytes(24) + bytes.fromhex("00E0C5000001").ljust(16, b"\0")
    return fixed + sname.ljust(64, b"\0") + file.ljust(128, b"\0") + cookie + options


def test_layout() -> None:
    """RFC 2131 figure 1: where each field stands."""
    data = write_message(OFFER)

    assert b"\x02\x01\x06\x01\x12\x34\x56\x78\x00\x03\x80\x00" == data[:12]
    assert b"\xc0\x00\x02\x32\xc0\x00\x02\x01\xc0\x00\x02\xfe" == data[16:28]
    assert bytes.fromhex("00E0C5000001").ljust(16, b"\0") == data[28:44]
    assert b"dhcp1".ljust(64, b"\0") == data[44:108]
    assert b"pxelinux.0".ljust(128, b"\0") == data[108:236]
    assert COOKIE + b"\x35\x01\x02\x36\x04" == data[236:245]
    assert 300 == len(data)
    assert OFFER == read_message(data)
    assert (MessageType.OFFER, True) == (OFFER.kind, OFFER.broadcast)


def test_order_and_unknown_options_are_kept() -> None:
    """Options come out as they came in, whatever they mean."""
    options = (Option(250, b"x"), Option(53, b"\x05"), Option(12, b""), Option(1, b"abcd"))

    assert options == read_message(write_message(replace(OFFER, options=options))).options


@pytest.mark.parametrize(
    ("data", "problem"),
    [
        (b"", DhcpProblem.TOO_SHORT),
        (bytes(239), DhcpProblem.TOO_SHORT),
        (_raw(b"\x35\x01\x05\xff")[:239], DhcpProblem.TOO_SHORT),
        (bytes(MAX_DATAGRAM_BYTES + 1), DhcpProblem.TOO_LONG),
        (_raw(b"\x35\x01\x05\xff", op=0), DhcpProblem.BAD_OP),
        (_raw(b"\x35\x01\x05\xff", op=3), DhcpProblem.BAD_OP),
        (_raw(b"\x35\x01\x05\xff", hlen=17), DhcpProblem.BAD_HARDWARE_LENGTH),
        (_raw(b"\x35\x01\x05\xff", cookie=bytes(4)), DhcpProblem.NO_COOKIE),
        (_raw(b"\x35\x01\x05\xe0"), DhcpProblem.OPTION_CUT),
        (_raw(b"\x35\x01\x05\xe0\x09abc"), DhcpProblem.OPTION_OVERRUN),
        (_raw(b"\x35\x01\x05\x34\x01\x00\xff"), DhcpProblem.BAD_OVERLOAD),
        (_raw(b"\x35\x01\x05\x34\x01\x04\xff"), DhcpProblem.BAD_OVERLOAD),
        (_raw(b"\x35\x01\x05\x34\x00\xff"), DhcpProblem.BAD_OVERLOAD),
        (_raw(b"\x35\x01\x05\x34\x01\x01\x34\x01\x01\xff"), DhcpProblem.BAD_OVERLOAD),
        (_raw(b"\x35\x01\x05\x34\x01\x01\xff", file=b"\x34\x01\x02\xff"), DhcpProblem.BAD_OVERLOAD),
        (_raw(b"\x35\x01\x05\x34\x01\x02\xff", sname=b"\xe0\x40" + b"x" * 62), DhcpProblem.OPTION_OVERRUN),
        (_raw(b"\xff"), DhcpProblem.NO_MESSAGE_TYPE),
        (_raw(b"\x35\x00\xff"), DhcpProblem.BAD_MESSAGE_TYPE),
        (_raw(b"\x35\x01\x00\xff"), DhcpProblem.BAD_MESSAGE_TYPE),
        (_raw(b"\x35\x01\x09\xff"), DhcpProblem.BAD_MESSAGE_TYPE),
        (_raw(b"\x35\x02\x05\x05\xff"), DhcpProblem.BAD_MESSAGE_TYPE),
    ],
)
def test_malformed(data: bytes, problem: DhcpProblem) -> None:
    """Every reason has its name."""
    with pytest.raises(MalformedDhcpError) as caught:
        read_message(data)

    assert problem is caught.value.problem


def test_hardware_address() -> None:
    """Of anything that may be a message, without reading the rest."""
    message = DhcpMessage(op=Op.REPLY, xid=1, chaddr=b"\2\0\0\0\0\7", options=(Option(53, b"\5"),))

    assert message.chaddr == hardware_address(write_message(message))
    assert b"" == hardware_address(b"") == hardware_address(bytes(28))
    assert 16 == len(hardware_address(b"\2\1\xff" + bytes(300)))


def test_split_options_are_joined() -> None:
    """RFC 3396: pieces stand anywhere, the option where its first piece stands."""
    found = read_message(_raw(b"\xe0\x02um\x35\x01\x05\xe0\x01s\xff"))

    assert (Option(224, b"ums"), Option(53, b"\x05")) == found.options
    assert {Quirk.SPLIT} == found.quirks


def test_overload_reads_file_before_sname() -> None:
    """RFC 2131 section 4.1, RFC 3396 section 5: options, then file, then sname; a value may go on in the next."""
    found = read_message(_raw(b"\x35\x01\x05\x34\x01\x03\xe0\x01a\xff", file=b"\xe0\x01b\xff", sname=b"\xe0\x01c\xff"))

    assert (Option(53, b"\x05"), Option(224, b"abc")) == found.options
    assert (b"", b"") == (found.sname, found.file)
    assert {Quirk.OVERLOADED, Quirk.SPLIT} == found.quirks


@pytest.mark.parametrize(("overload", "sname", "file"), [(1, b"name", b""), (2, b"", b"boot")])
def test_overload_of_one_field_leaves_the_other(overload: int, sname: bytes, file: bytes) -> None:
    """What is not overloaded is still a name."""
    packed = b"\xe0\x03ums\xff"
    found = read_message(_raw(bytes((53, 1, 5, 52, 1, overload, 255)), sname=sname or packed, file=file or packed))

    assert (sname, file) == (found.sname, found.file)
    assert Option(224, b"ums") == found.get(224)


def test_no_end_and_trailing_bytes_are_tolerated() -> None:
    """Servers do that; it is remarked."""
    assert {Quirk.NO_END} == read_message(_raw(b"\x35\x01\x05")).quirks
    assert {Quirk.TRAILING} == read_message(_raw(b"\x35\x01\x05\xff\0junk")).quirks
    assert frozenset() == read_message(_raw(b"\x35\x01\x05\xff\0\0")).quirks


@pytest.mark.parametrize("size", [700, 572, 560, 460])
def test_writing_overloads_when_it_must(size: int) -> None:
    """What does not fit into the options goes into file and sname, in this order, split where a field ends."""
    message = replace(
        OFFER, sname=b"", file=b"", options=(Option(53, b"\x05"), Option(224, b"x" * 300), Option(226, b""))
    )
    data = write_message(message, max_bytes=size)

    assert len(data) <= size
    assert message == read_message(data)
    assert (size < 560) == (Quirk.OVERLOADED in read_message(data).quirks)


def test_writing_does_not_overload_a_name_that_is_used() -> None:
    """A server name stays; the file is enough here."""
    message = replace(OFFER, file=b"", options=(Option(53, b"\x05"), Option(224, b"x" * 100)))
    data = write_message(message, max_bytes=300)

    assert message == read_message(data)
    assert b"\x34\x01\x01" in data


@pytest.mark.parametrize(
    "change",
    [
        {"options": ()},
        {"options": (Option(53, b"\x05"), Option(53, b"\x05"))},
        {"options": (Option(53, b"\x05"), Option(52, b"\x01"))},
        {"chaddr": bytes(17)},
        {"sname": b"x" * 65},
        {"file": b"x" * 129},
        {"sname": b"x\0"},
        {"xid": 2**32},
        {"secs": -1},
        {"options": (Option(53, b"\x05"), Option(224, bytes(65_500)))},
    ],
    ids=str,
)
def test_what_has_no_form_on_the_wire(change: dict[str, Any]) -> None:
    """Our own mistakes are told as such."""
    with pytest.raises(LocalProtocolError):
        write_message(replace(OFFER, **change))


def test_what_does_not_fit() -> None:
    """Names in both fields leave no room to overload."""
    with pytest.raises(LocalProtocolError, match="do not fit into 300 bytes"):
        write_message(replace(OFFER, options=(Option(53, b"\x05"), Option(224, b"x" * 100))), max_bytes=300)
