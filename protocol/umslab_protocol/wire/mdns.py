# SPDX-License-Identifier: Apache-2.0
"""How a UMS is announced by mDNS: service type, instance name and TXT record.

Provenance: SIMULATED. That devices or a UMS use mDNS is nowhere documented (D18): this is ours, for labs without a name
server. Its carriers are standard: DNS-SD (RFC 6763) over multicast DNS (RFC 6762). Nothing in it is secret, and nothing
in it is believed: whoever is on the link can announce anything, so trust comes from the root certificate alone.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from ipaddress import IPv4Address
from typing import TYPE_CHECKING

from umslab_protocol.errors import InvalidValueError

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

SERVICE_TYPE = "_umslab-ums._tcp.local."
DEFAULT_NAME = "umslab simulation"
TXT_VERSION = b"1"
MAX_NAME_BYTES = 63
"""One DNS label (RFC 6763 section 4.1.1)."""
MAX_TXT_BYTES = 1_300
"""RFC 6763 section 6.2: what fits a packet."""
MAX_ADDRESSES = 8
"""Taken of one service."""
MAX_NAMES = 128
"""Asked for in one search; most of them may be somebody's noise."""
MAX_SERVICES = 16
"""Kept of those that answer."""


class MdnsProblem(StrEnum):
    """Why an announced service is not used."""

    MALFORMED = "malformed"
    """Its name, port, address or TXT record breaks the rules."""
    OTHER_VERSION = "other-version"
    """`txtvers` is not 1: made for somebody else."""
    NO_ADDRESS = "no-address"
    """Nobody said at which IPv4 address and port it is (D8)."""
    TOO_MANY = "too-many"
    """More names than are asked for in one search, or more services than are kept."""


class MdnsError(Exception):
    """An announced service cannot be used."""

    def __init__(self, problem: MdnsProblem, detail: str) -> None:
        super().__init__(detail)
        self.problem = problem


@dataclass(frozen=True, slots=True, kw_only=True)
class UmsService:
    """One UMS that was announced."""

    name: str
    """The instance name, printable."""
    port: int
    addresses: tuple[str, ...]
    priority: int = 0
    """Of the SRV record (RFC 2782): the lowest is tried first."""


def parse_instance_name(text: str) -> str:
    """Check the name under which a UMS is announced; raises `InvalidValueError`."""
    if not text.isprintable() or not 1 <= len(text.encode("utf-8", "replace")) <= MAX_NAME_BYTES:
        raise InvalidValueError(f"the name of a service has 1-{MAX_NAME_BYTES} bytes of printable text")
    return text


def parse_own_address(text: str) -> str:
    """Read an address of this machine from which mDNS may be sent; raises `InvalidValueError`."""
    try:
        address = IPv4Address(text)
    except ValueError:
        raise InvalidValueError(
            f"mDNS is sent from a literal IPv4 address of this machine, not {text[:60]!r}"
        ) from None
    if address.is_unspecified or address.is_multicast:
        raise InvalidValueError(f"{address} is not the address of one machine")
    return str(address)


def write_txt() -> bytes:
    """The TXT record of a UMS."""
    pairs = (b"txtvers=" + TXT_VERSION, b"product=umslab simulation")
    return b"".join(bytes((len(pair),)) + pair for pair in pairs)


def read_txt(data: bytes) -> dict[str, bytes]:
    """Read a TXT record into lower-case keys and values; the first of a key counts (RFC 6763 section 6.4).

    Raises `MdnsError`: malformed, or of another version.
    """
    if len(data) > MAX_TXT_BYTES:
        raise MdnsError(MdnsProblem.MALFORMED, f"a TXT record of more than {MAX_TXT_BYTES} bytes")
    found: dict[str, bytes] = {}
    at = 0
    while at < len(data):
        end = at + 1 + data[at]
        if end > len(data):
            raise MdnsError(MdnsProblem.MALFORMED, "a string of the TXT record is longer than the record")
        key, _, value = data[at + 1 : end].partition(b"=")
        if key and all(0x20 <= byte <= 0x7E for byte in key):  # others are ignored without a word (section 6.4)
            found.setdefault(key.decode("ascii").lower(), value)
        at = end
    if found.get("txtvers", TXT_VERSION) != TXT_VERSION:
        raise MdnsError(MdnsProblem.OTHER_VERSION, "txtvers is not 1")
    return found


def read_service(
    full_name: str, *, port: int | None, addresses: Iterable[str], txt: bytes, priority: int = 0
) -> UmsService:
    """Put together what the records of one service say. Raises `MdnsError`."""
    read_txt(txt)
    name = instance_of(full_name)
    try:
        found = sorted({IPv4Address(address) for address in addresses})
    except ValueError:
        raise MdnsError(MdnsProblem.MALFORMED, "an address that is none") from None
    if not found or not port:
        raise MdnsError(MdnsProblem.NO_ADDRESS, f"nobody said where {name} is")
    if not 1 <= port <= 0xFFFF or not 0 <= priority <= 0xFFFF:
        raise MdnsError(MdnsProblem.MALFORMED, "a port or priority that is none")
    return UmsService(name=name, port=port, addresses=tuple(map(str, found[:MAX_ADDRESSES])), priority=priority)


def instance_of(full_name: str) -> str:
    """The instance name in a whole name; raises `MdnsError`."""
    name, suffix = full_name[: -len(SERVICE_TYPE) - 1], full_name[-len(SERVICE_TYPE) - 1 :]
    if suffix.lower() != f".{SERVICE_TYPE}":
        raise MdnsError(MdnsProblem.MALFORMED, "a name of another type")
    try:
        return parse_instance_name(name)
    except InvalidValueError as error:
        raise MdnsError(MdnsProblem.MALFORMED, str(error)) from None


def in_order(services: Iterable[UmsService]) -> Sequence[UmsService]:
    """The order in which they are tried, the same every time: by priority, name and address; ours."""
    return sorted(services, key=lambda one: (one.priority, one.name, [_numeric(text) for text in one.addresses]))


def _numeric(address: str) -> tuple[int, str]:
    try:
        return int(IPv4Address(address)), ""
    except ValueError:  # a host of the memory network
        return 0, address
