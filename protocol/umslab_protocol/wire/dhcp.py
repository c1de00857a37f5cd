# SPDX-License-Identifier: Apache-2.0
"""DHCP messages: a fixed part of 236 bytes, a magic cookie, options.

Provenance: standard (RFC 2131 for the message, RFC 2132 for option 52, RFC 3396 for values that are split). Reading and
writing are inverse to each other: how the options were packed (split, overloaded into `sname` and `file`, padded) is
noted in `quirks` and not part of a message's value. Whatever the bytes, reading raises `MalformedDhcpError` or nothing.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass, field
from enum import IntEnum, StrEnum
from ipaddress import IPv4Address

from umslab_protocol.errors import LocalProtocolError
from umslab_protocol.wire.dhcp_options import (
    END,
    MAX_PIECE_BYTES,
    Code,
    DhcpProblem,
    MalformedDhcpError,
    Option,
    gather,
    read_field,
    write_options,
)

SERVER_PORT, CLIENT_PORT = 67, 68
COOKIE = b"\x63\x82\x53\x63"  # RFC 2131 section 3
MAX_DATAGRAM_BYTES = 65_507
"""What a UDP datagram over IPv4 holds at most."""
MIN_MESSAGE_BYTES = 300
"""BOOTP relays may drop what is shorter (RFC 1542 section 2.1)."""
BROADCAST_FLAG = 0x8000
_FIXED = struct.Struct("!4BIHH4s4s4s4s16s64s128s4s")
_CHADDR_AT, _CHADDR_BYTES = 28, 16  # RFC 2131 figure 1
_SNAME_BYTES, _FILE_BYTES = 64, 128
_OVERLOAD_BYTES = 3  # option 52 itself
NOWHERE = IPv4Address(0)


class Op(IntEnum):
    """Which way a message goes."""

    REQUEST = 1
    REPLY = 2


class MessageType(IntEnum):
    """Option 53 (RFC 2132 section 9.6)."""

    DISCOVER = 1
    OFFER = 2
    REQUEST = 3
    DECLINE = 4
    ACK = 5
    NAK = 6
    RELEASE = 7
    INFORM = 8


_OPS, _KINDS = frozenset(Op), frozenset(MessageType)


class Quirk(StrEnum):
    """How a message was packed, where that is worth a remark."""

    NO_END = "no-end"
    """A field of options has no End option."""
    TRAILING = "trailing"
    """Something other than padding follows an End option."""
    OVERLOADED = "overloaded"
    """Options stand in `file` or `sname` too (option 52)."""
    SPLIT = "split"
    """A value is split over several options (RFC 3396)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DhcpMessage:
    """One message; `options` has each code once, in the order in which they came, and always option 53."""

    op: Op
    xid: int
    chaddr: bytes
    options: tuple[Option, ...]
    hardware_type: int = 1
    hops: int = 0
    secs: int = 0
    flags: int = 0
    ciaddr: IPv4Address = NOWHERE
    yiaddr: IPv4Address = NOWHERE
    siaddr: IPv4Address = NOWHERE
    giaddr: IPv4Address = NOWHERE
    sname: bytes = b""
    """Without the NUL bytes at its end, like `file`."""
    file: bytes = b""
    quirks: frozenset[Quirk] = field(default=frozenset(), compare=False)

    def get(self, code: int) -> Option | None:
        """The option with this code."""
        for option in self.options:  # not `next`: this is asked a dozen times for each message
            if option.code == code:
                return option
        return None

    @property
    def kind(self) -> MessageType:
        """Option 53; raises `MalformedDhcpError` for a message without one, which was never read from the wire."""
        option = self.get(Code.MESSAGE_TYPE)
        if option is None:
            raise MalformedDhcpError(DhcpProblem.NO_MESSAGE_TYPE, "option 53 is missing: BOOTP, not DHCP")
        if len(option.value) != 1 or option.value[0] not in _KINDS:
            raise MalformedDhcpError(DhcpProblem.BAD_MESSAGE_TYPE, "option 53 is not one byte from 1 to 8")
        return MessageType(option.value[0])

    @property
    def broadcast(self) -> bool:
        """Whether the client asks for answers by broadcast."""
        return bool(self.flags & BROADCAST_FLAG)


# Reading.


def hardware_address(data: bytes) -> bytes:
    """The hardware address that a datagram is for, whatever else stands in it; empty when it is too short."""
    return data[_CHADDR_AT : _CHADDR_AT + min(_CHADDR_BYTES, data[2])] if len(data) > _CHADDR_AT else b""


def read_message(data: bytes) -> DhcpMessage:
    """Read one datagram, or raise `MalformedDhcpError`."""
    if len(data) < _FIXED.size:
        raise MalformedDhcpError(DhcpProblem.TOO_SHORT, f"{len(data)} bytes; a DHCP message has at least {_FIXED.size}")
    if len(data) > MAX_DATAGRAM_BYTES:
        raise MalformedDhcpError(DhcpProblem.TOO_LONG, f"{len(data)} bytes are more than a UDP datagram holds")
    op, hardware_type, hardware_length, hops, xid, secs, flags, *rest, cookie = _FIXED.unpack_from(data)
    ciaddr, yiaddr, siaddr, giaddr, chaddr, sname, file = rest
    if cookie != COOKIE:
        raise MalformedDhcpError(DhcpProblem.NO_COOKIE, "the magic cookie is missing: BOOTP, or not DHCP at all")
    if op not in _OPS:
        raise MalformedDhcpError(DhcpProblem.BAD_OP, f"op is {op}; 1 is a request and 2 a reply")
    if hardware_length > len(chaddr):
        raise MalformedDhcpError(
            DhcpProblem.BAD_HARDWARE_LENGTH, f"a hardware address of {hardware_length} bytes; there is room for 16"
        )
    options, overload, quirks = _read_all_options(data[_FIXED.size :], sname, file)
    message = DhcpMessage(
        op=Op(op), hardware_type=hardware_type, hops=hops, xid=xid, secs=secs, flags=flags,
        ciaddr=IPv4Address(ciaddr), yiaddr=IPv4Address(yiaddr), siaddr=IPv4Address(siaddr), giaddr=IPv4Address(giaddr),
        chaddr=chaddr[:hardware_length],
        sname=b"" if overload & 2 else sname.rstrip(b"\0"),
        file=b"" if overload & 1 else file.rstrip(b"\0"),
        options=options,
        quirks=quirks,
    )  # fmt: skip
    _ = message.kind  # raises for what is not DHCP
    return message


def _read_all_options(data: bytes, sname: bytes, file: bytes) -> tuple[tuple[Option, ...], int, frozenset[Quirk]]:
    """Read `options`, then what it says is overloaded: `file` before `sname` (RFC 3396 section 5)."""
    pieces, quirks = _read_one_field(data)
    stated = b"".join(value for code, value in pieces if code == Code.OVERLOAD)
    overload = 0
    if any(code == Code.OVERLOAD for code, _ in pieces):
        if stated not in {b"\1", b"\2", b"\3"}:
            raise MalformedDhcpError(DhcpProblem.BAD_OVERLOAD, "option 52 is not 1, 2 or 3")
        overload = stated[0]
        quirks.add(Quirk.OVERLOADED)
    for wanted, more in ((1, file), (2, sname)):
        if overload & wanted:
            found, odd = _read_one_field(more)
            if any(code == Code.OVERLOAD for code, _ in found):
                raise MalformedDhcpError(DhcpProblem.BAD_OVERLOAD, "option 52 stands in a field that it declares")
            pieces += found
            quirks |= odd
    options = gather((code, value) for code, value in pieces if code != Code.OVERLOAD)
    if any(option.pieces > 1 for option in options):
        quirks.add(Quirk.SPLIT)
    return options, overload, frozenset(quirks)


def _read_one_field(data: bytes) -> tuple[list[tuple[int, bytes]], set[Quirk]]:
    found = read_field(data)
    if found.problem is not None:
        raise found.problem
    quirks = set() if found.ended else {Quirk.NO_END}
    return list(found.pieces), quirks | ({Quirk.TRAILING} if found.trailing else set())


# Writing.


def write_message(message: DhcpMessage, *, max_bytes: int = MAX_DATAGRAM_BYTES) -> bytes:
    """Write one datagram, overloading `file` and `sname` only when it would exceed `max_bytes`.

    Raises `LocalProtocolError` for what does not fit or has no form on the wire.
    """
    _check(message)
    plain = write_options(message.options)
    room = min(max_bytes, MAX_DATAGRAM_BYTES) - _FIXED.size - 1
    if len(plain) <= room:
        return _frame(message, plain, message.sname, message.file)
    pieces = [(option.code, option.value) for option in message.options]
    rooms = [room - _OVERLOAD_BYTES, 0 if message.file else _FILE_BYTES - 1, 0 if message.sname else _SNAME_BYTES - 1]
    packed = _pack(pieces, rooms)
    if packed is None:
        raise LocalProtocolError(f"the options do not fit into {max_bytes} bytes")
    options, file, sname = packed
    overload = (1 if file else 0) | (2 if sname else 0)
    return _frame(
        message,
        bytes((Code.OVERLOAD, 1, overload)) + options,
        sname + bytes((END,)) if sname else message.sname,
        file + bytes((END,)) if file else message.file,
    )


def _check(message: DhcpMessage) -> None:
    codes = [option.code for option in message.options]
    if len(set(codes)) != len(codes) or Code.OVERLOAD in codes:
        raise LocalProtocolError("each option stands once in a message; option 52 is added where it is needed")
    if Code.MESSAGE_TYPE not in codes:
        raise LocalProtocolError("a DHCP message has option 53")
    if len(message.chaddr) > 16 or len(message.sname) > _SNAME_BYTES or len(message.file) > _FILE_BYTES:
        raise LocalProtocolError("chaddr, sname and file have at most 16, 64 and 128 bytes")
    if message.sname.endswith(b"\0") or message.file.endswith(b"\0"):
        raise LocalProtocolError("sname and file are given without the NUL bytes at their end")


def _pack(pieces: list[tuple[int, bytes]], rooms: list[int]) -> list[bytes] | None:
    """Fill the fields in their order, splitting values where a field ends; None when they do not suffice."""
    fields, at = [bytearray() for _ in rooms], 0
    for code, value in pieces:
        rest, written = value, False
        while rest or not written:
            while at < len(rooms) and rooms[at] - len(fields[at]) < (3 if rest else 2):
                at += 1
            if at == len(rooms):
                return None
            piece = rest[: min(MAX_PIECE_BYTES, rooms[at] - len(fields[at]) - 2)]
            fields[at] += bytes((code, len(piece))) + piece
            rest, written = rest[len(piece) :], True
    return [bytes(one) for one in fields]


def _frame(message: DhcpMessage, options: bytes, sname: bytes, file: bytes) -> bytes:
    try:
        head = _FIXED.pack(
            message.op, message.hardware_type, len(message.chaddr), message.hops, message.xid, message.secs,
            message.flags, message.ciaddr.packed, message.yiaddr.packed, message.siaddr.packed, message.giaddr.packed,
            message.chaddr, sname, file, COOKIE,
        )  # fmt: skip
    except struct.error as error:
        raise LocalProtocolError(f"a number does not fit into its field: {error}") from None
    return (head + options + bytes((END,))).ljust(MIN_MESSAGE_BYTES, b"\0")
