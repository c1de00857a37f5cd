# SPDX-License-Identifier: Apache-2.0
"""The values of IGEL's DHCP options: what can be used, what is odd about it, why something cannot be used.

Provenance: documented are the types, text for 224 and 226 (D2, D7). Ours is every judgement on values that are not such
texts, among them lists of addresses and ports (D15, NP16), and the types of the options of OS 12.7.2 (SIMULATED, NP15).
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from ipaddress import IPv4Address

from umslab_protocol.errors import InvalidValueError
from umslab_protocol.values.auth_key import parse_auth_key
from umslab_protocol.values.fingerprint import Fingerprint
from umslab_protocol.values.host_port import parse_host_port
from umslab_protocol.values.structure_tag import parse_structure_tag

_SEPARATORS = re.compile(r"[,;\s]+", re.ASCII)
_SHOWN = 60
MAX_LISTED_SERVERS = 16


@dataclass(frozen=True, slots=True)
class Remark:
    """A sentence for people, and the facts behind it."""

    text: str
    facts: tuple[str, ...] = ()


class Unusable(Exception):  # noqa: N818 - a verdict, not a fault
    """This value does not name anything; `remark` says why."""

    def __init__(self, text: str, *facts: str) -> None:
        super().__init__(text)
        self.remark = Remark(text, facts)


@dataclass(frozen=True, slots=True)
class Found:
    """A value, what else stands in it, and what is odd about it."""

    value: str
    remarks: tuple[Remark, ...] = ()
    others: tuple[str, ...] = ()
    port: int | None = None


Reader = Callable[[bytes], Found]


def read_server(value: bytes) -> Found:
    """Option 224: the address of the UMS as text."""
    text, remarks = _text(value, binary_fact="D2")
    names = [name for name in _SEPARATORS.split(text) if name]
    if not names:
        raise Unusable(f"{text[:_SHOWN]!r} names nothing", "D2")
    if len(names) > 1:
        said = "a list; how the device treats lists is not published, umslab takes the first and keeps the others"
        remarks.append(Remark(said, ("D15",)))
    host, port = _one_server(names[0], remarks)
    others = tuple(names[1:MAX_LISTED_SERVERS])
    return Found(host, tuple(remarks), others, port)


def _one_server(name: str, remarks: list[Remark]) -> tuple[str, int | None]:
    if re.match(r"[A-Za-z][A-Za-z0-9+.-]*://", name, re.ASCII):
        raise Unusable(f"{name[:_SHOWN]!r} is a URL; the value is a host name or an address alone", "D2")
    if name.strip("\"'") != name:
        raise Unusable(f"{name[:_SHOWN]!r} has quotation marks in it: the server's configuration quotes twice", "D2")
    try:
        found = parse_host_port(name)
    except InvalidValueError as error:
        raise Unusable(str(error), "D2") from None
    if ":" in found.host:
        remarks.append(Remark("an IPv6 address; IPv6 plays no role in this mechanism", ("D8",)))
    if name in {found.host, f"[{found.host}]"}:
        return found.host, None
    said = f"a port ({found.port}); whether the device understands one here is not published, umslab takes it"
    remarks.append(Remark(said, ("NP16",)))
    return found.host, found.port


def read_tag(value: bytes) -> Found:
    """Option 226: the structure tag as text."""
    text, remarks = _text(value, binary_fact="D7")
    try:
        return Found(parse_structure_tag(text), tuple(remarks))
    except InvalidValueError as error:
        raise Unusable(str(error), "D7") from None


def read_port(value: bytes) -> Found:
    """igelrmserver-port (SIMULATED type): a number as text, or of two bytes."""
    if len(value) == 2 and not value.isdigit():
        return _port(str(int.from_bytes(value)), [])
    text, remarks = _text(value, binary_fact="NP15")
    return _port(text, remarks)


def _port(text: str, remarks: list[Remark]) -> Found:
    if re.fullmatch(r"[0-9]{1,5}", text, re.ASCII) and 1 <= int(text) <= 65535:
        return Found(str(int(text)), tuple(remarks))
    raise Unusable(f"{text[:_SHOWN]!r} is not a port: expected a number from 1 to 65535", "NP15")


def read_key(value: bytes) -> Found:
    """igelrmserver-auth (SIMULATED type): a first-authentication key as text; never repeated in a remark."""
    text, remarks = _text(value, binary_fact="NP15")
    try:
        return Found(str(parse_auth_key(text)), tuple(remarks))
    except InvalidValueError:
        raise Unusable("it is not a first-authentication key", "NP15") from None


def read_hash(value: bytes) -> Found:
    """igelrmserver-ca-hash (SIMULATED type): SHA-256 as 32 bytes, or as text in any notation."""
    if len(value) == 32:
        return Found(Fingerprint.of_digest(value).digits)
    text, remarks = _text(value, binary_fact="NP15")
    try:
        return Found(Fingerprint.parse(text).digits, tuple(remarks))
    except InvalidValueError as error:
        raise Unusable(str(error), "NP15") from None


def _text(value: bytes, *, binary_fact: str) -> tuple[str, list[Remark]]:
    """Read a value as text, with the oddities that servers add."""
    remarks: list[Remark] = []
    bare = value.rstrip(b"\0")
    text = _decoded(value, bare, binary_fact)
    if bare != value and bare:
        remarks.append(Remark("a NUL byte at its end; receivers should trim it (RFC 2132 section 2)"))
    trimmed = text.strip()
    if not trimmed:
        raise Unusable("it is empty")
    if trimmed != text:
        remarks.append(Remark("white space around it; whether the device trims them is not published, umslab does"))
    return trimmed, remarks


def _decoded(value: bytes, bare: bytes, fact: str) -> str:
    number = len(value) == 4 and any(byte < 0x20 for byte in bare)
    try:
        text = bare.decode("utf-8")
    except UnicodeDecodeError:
        text = "\0"
    if not number and text.strip().isprintable():
        return text
    if len(value) == 4:
        address = IPv4Address(value)
        raise Unusable(f"4 bytes that are no text: of type DWORD or IP address ({address}) instead of string", fact)
    raise Unusable(f"{len(value)} bytes that are no text ({value[:16].hex()}{'...' if len(value) > 16 else ''})", fact)
