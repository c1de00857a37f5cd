# SPDX-License-Identifier: Apache-2.0
"""DHCP options: code, length, value, and the ways in which real servers pack them.

Provenance: standard (RFC 2132 for the format, RFC 3396 for values split over several options). Tolerated is what
servers in the field do: no End option, bytes after it, an End byte inside option 43, options in any order, unknown
options. What cannot be read has a name: `DhcpProblem`.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass, field
from enum import IntEnum, StrEnum
from ipaddress import IPv4Address
from typing import TYPE_CHECKING

from umslab_protocol.errors import LocalProtocolError, RemoteProtocolError

if TYPE_CHECKING:
    from collections.abc import Iterable

PAD, END = 0, 255  # RFC 2132 section 3: the two codes without a length
MAX_PIECE_BYTES = 255
"""A length is one byte; longer values are split (RFC 3396)."""


class Code(IntEnum):
    """The options this project has something to do with."""

    SUBNET_MASK = 1
    TIME_OFFSET = 2
    ROUTERS = 3
    DNS_SERVERS = 6
    HOST_NAME = 12
    DOMAIN_NAME = 15
    INTERFACE_MTU = 26
    BROADCAST_ADDRESS = 28
    NTP_SERVERS = 42
    VENDOR_SPECIFIC = 43
    REQUESTED_ADDRESS = 50
    LEASE_SECONDS = 51
    OVERLOAD = 52
    MESSAGE_TYPE = 53
    SERVER_ID = 54
    PARAMETER_LIST = 55
    MESSAGE = 56
    MAX_MESSAGE_BYTES = 57
    RENEW_SECONDS = 58
    REBIND_SECONDS = 59
    VENDOR_CLASS = 60
    CLIENT_ID = 61
    RELAY_INFORMATION = 82
    DOMAIN_SEARCH = 119
    CLASSLESS_ROUTES = 121
    IGEL_SERVER = 224
    """`igelrmserver` (D2)."""
    IGEL_STRUCTURE_TAG = 226
    """`umsstructuretag` (D7)."""


class DhcpProblem(StrEnum):
    """Why a datagram is not a DHCP message, or not one that can be used."""

    TOO_SHORT = "too-short"
    """Less than the fixed part with its magic cookie."""
    TOO_LONG = "too-long"
    """More than a UDP datagram holds."""
    BAD_OP = "bad-op"
    """Neither a request nor a reply."""
    BAD_HARDWARE_LENGTH = "bad-hardware-length"
    """A hardware address of more than 16 bytes."""
    NO_COOKIE = "no-cookie"
    """BOOTP, or something else: the magic cookie is missing."""
    OPTION_CUT = "option-cut"
    """An option has no length."""
    OPTION_OVERRUN = "option-overrun"
    """An option is longer than what is left of its field."""
    BAD_OVERLOAD = "bad-overload"
    """Option 52 is not 1, 2 or 3, or stands in a field that it declares."""
    NO_MESSAGE_TYPE = "no-message-type"
    """Option 53 is missing: BOOTP."""
    BAD_MESSAGE_TYPE = "bad-message-type"
    """Option 53 is not one byte from 1 to 8."""
    BAD_VALUE = "bad-value"
    """An option has a length that its type does not allow."""
    NO_SERVER_ID = "no-server-id"
    """An offer, acknowledgement or refusal that does not say from whom."""
    NO_LEASE_TIME = "no-lease-time"
    """An acknowledgement without a lease time, or with 0."""
    NO_ADDRESS = "no-address"
    """An offer or acknowledgement of an address that no host can have."""


class MalformedDhcpError(RemoteProtocolError):
    """What came is not what it should be; `problem` names the reason."""

    def __init__(self, problem: DhcpProblem, reason: str) -> None:
        super().__init__(reason, code=problem)
        self.problem = problem


@dataclass(frozen=True, slots=True)
class Option:
    """One option, whole; `pieces` tells over how many it was split on the wire."""

    code: int
    value: bytes
    pieces: int = field(default=1, compare=False)

    def __post_init__(self) -> None:
        if not PAD < self.code < END:
            raise LocalProtocolError(f"{self.code} is not the code of an option with a value")


@dataclass(frozen=True, slots=True)
class Field:
    """What stands in one field of options, in its order and still in pieces."""

    pieces: tuple[tuple[int, bytes], ...]
    ended: bool
    """Whether there was an End option."""
    trailing: bool = False
    """Whether something other than padding follows it."""
    problem: MalformedDhcpError | None = None
    """Why reading stopped early; `pieces` are those before."""


def read_field(data: bytes) -> Field:
    """Read one field of options up to its End option or its end; never raises."""
    pieces: list[tuple[int, bytes]] = []
    at = 0
    while at < len(data):
        code = data[at]
        if code == PAD:
            at += 1
            continue
        if code == END:
            return Field(tuple(pieces), ended=True, trailing=bool(data[at + 1 :].strip(b"\0")))
        if at + 1 == len(data):
            return _stopped(pieces, DhcpProblem.OPTION_CUT, f"option {code} at byte {at} has no length")
        length, left = data[at + 1], len(data) - at - 2
        if length > left:
            text = f"option {code} at byte {at} says it has {length} bytes, {left} are left"
            return _stopped(pieces, DhcpProblem.OPTION_OVERRUN, text)
        pieces.append((code, data[at + 2 : at + 2 + length]))
        at += 2 + length
    return Field(tuple(pieces), ended=False)


def _stopped(pieces: list[tuple[int, bytes]], problem: DhcpProblem, text: str) -> Field:
    return Field(tuple(pieces), ended=False, problem=MalformedDhcpError(problem, text))


def gather(pieces: Iterable[tuple[int, bytes]]) -> tuple[Option, ...]:
    """Join the pieces of each option (RFC 3396 section 7); options keep the order of their first pieces."""
    parts: dict[int, list[bytes]] = {}
    for code, value in pieces:
        parts.setdefault(code, []).append(value)
    return tuple(Option(code, b"".join(values), len(values)) for code, values in parts.items())


def write_options(options: Iterable[Option]) -> bytes:
    """Write options one after the other, long ones split, without an End option."""
    out = bytearray()
    for option in options:
        for at in range(0, max(1, len(option.value)), MAX_PIECE_BYTES):
            piece = option.value[at : at + MAX_PIECE_BYTES]
            out += bytes((option.code, len(piece))) + piece
    return bytes(out)


# Values by type (RFC 2132); what has the wrong length is the peer's fault.


def read_address(option: Option) -> IPv4Address:
    """One address, of four bytes."""
    if len(option.value) != 4:
        raise _bad_value(option, "one address of 4 bytes")
    return IPv4Address(option.value)


def read_addresses(option: Option) -> tuple[IPv4Address, ...]:
    """At least one address."""
    value = option.value
    if not value or len(value) % 4:
        raise _bad_value(option, "addresses of 4 bytes each")
    return tuple(IPv4Address(value[at : at + 4]) for at in range(0, len(value), 4))


def read_seconds(option: Option) -> int:
    """A number of four bytes."""
    if len(option.value) != 4:
        raise _bad_value(option, "a number of 4 bytes")
    (number,) = struct.unpack("!I", option.value)
    return int(number)


def read_text(option: Option) -> str:
    """A text for people; trailing NUL bytes are trimmed (RFC 2132 section 2), what is no UTF-8 is replaced."""
    return option.value.rstrip(b"\0").decode("utf-8", "replace")


def _bad_value(option: Option, wanted: str) -> MalformedDhcpError:
    text = f"option {option.code} has {len(option.value)} bytes instead of {wanted}"
    return MalformedDhcpError(DhcpProblem.BAD_VALUE, text)
