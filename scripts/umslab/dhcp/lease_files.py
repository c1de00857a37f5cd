# SPDX-License-Identifier: Apache-2.0
"""Lease files that DHCP clients leave: the options a device got, without root and without asking anybody.

Provenance: dhclient's format is documented (dhclient.leases(5)) and is what IGEL OS has (D10). systemd-networkd and
NetworkManager write `NAME=value` lines that they call private; what they keep of the options is little. The lease files
of servers say who has which address, not what it was told: they are recognised and refused with a word about that.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from ipaddress import IPv4Address
from typing import TYPE_CHECKING

from umslab_protocol.wire.dhcp_options import Code, Option, gather

if TYPE_CHECKING:
    from collections.abc import Iterator

MAX_OPTION_BYTES = 4096
_NAMED = {
    "vendor-encapsulated-options": int(Code.VENDOR_SPECIFIC),
    "igelrmserver": int(Code.IGEL_SERVER),
    "umsstructuretag": int(Code.IGEL_STRUCTURE_TAG),
}
_WORD = re.compile(r'\s+|#[^\n]*|("(?:[^"\\]|\\.)*")|([{};])|([^\s{};"#]+)', re.DOTALL)
_ESCAPE = re.compile(rb"\\([0-7]{1,3}|x[0-9a-fA-F]{1,2}|.)", re.DOTALL)
_BYTES = re.compile(r"[0-9a-fA-F]{1,2}(:[0-9a-fA-F]{1,2})*")
_OCTET = "(?:25[0-5]|2[0-4][0-9]|1[0-9]{2}|[1-9]?[0-9])"
_ADDRESSES = re.compile(rf"{_OCTET}(?:\.{_OCTET}){{3}}(?:,{_OCTET}(?:\.{_OCTET}){{3}})*")
_CLIENT_LEASE = re.compile(r"(?m)^[ \t]*lease6?[ \t]*\{")
_SERVER_LEASE = re.compile(r"(?m)^[ \t]*lease[ \t]+[0-9.]{7,15}[ \t]*\{")
_ASSIGNMENT = re.compile(r"([A-Z][A-Z0-9_]*)=(.*)")
_DNSMASQ = re.compile(r"(?:duid [0-9a-f:]+|[0-9]+ [0-9a-fA-F:.-]+ [0-9.]+ \S+ \S+)\s*")


class LeaseFileError(Exception):
    """It is no lease of a device; the text says what it is, or why it cannot be read."""


@dataclass(frozen=True, slots=True)
class LeaseRecord:
    """One lease of one interface."""

    writer: str
    interface: str = ""
    address: str = ""
    options: tuple[Option, ...] = ()
    remarks: tuple[str, ...] = ()


@dataclass(slots=True)
class _Draft:
    interface: str = ""
    address: str = ""
    options: list[tuple[int, bytes]] = field(default_factory=list)


def is_lease_file(text: str) -> bool:
    """Whether this looks like the lease file of some client or server."""
    lines = [line for line in text.splitlines() if line.strip() and not line.lstrip().startswith("#")]
    return bool(
        _CLIENT_LEASE.search(text)
        or _SERVER_LEASE.search(text)
        or (lines and (_ASSIGNMENT.fullmatch(lines[0]) or _DNSMASQ.fullmatch(lines[0])))
        or text.startswith("address,hwaddr,")
    )


def read_lease_file(text: str) -> list[LeaseRecord]:
    """Read a client's lease file: the newest lease of each interface; raises `LeaseFileError`."""
    if text.startswith("address,hwaddr,"):
        raise LeaseFileError(_of_a_server("Kea"))
    if _SERVER_LEASE.search(text):
        raise LeaseFileError(_of_a_server("dhcpd"))
    if _CLIENT_LEASE.search(text):
        return _read_dhclient(text)
    lines = [line.strip() for line in text.splitlines() if line.strip() and not line.lstrip().startswith("#")]
    if lines and _DNSMASQ.fullmatch(lines[0]):
        raise LeaseFileError(_of_a_server("dnsmasq"))
    return [_read_assignments(lines)]


def _of_a_server(name: str) -> str:
    return (
        f"this is the lease file of a server ({name}): it says who has which address, not which options were sent; "
        "give the lease file of a client, or a capture of UDP ports 67 and 68"
    )


# dhclient.


def _read_dhclient(text: str) -> list[LeaseRecord]:
    newest: dict[str, tuple[_Draft, int]] = {}
    for draft in _drafts(_words(text)):
        older = newest[draft.interface][1] + 1 if draft.interface in newest else 0
        newest.pop(draft.interface, None)
        newest[draft.interface] = (draft, older)
    if not newest:
        raise LeaseFileError("there is no whole lease for IPv4 in this file of dhclient")
    return [
        LeaseRecord(
            "dhclient",
            draft.interface,
            draft.address,
            gather(draft.options),
            (f"{older} older lease{'s' * (older > 1)} of this interface in the same file",) if older else (),
        )
        for draft, older in newest.values()
    ]


def _words(text: str) -> Iterator[str]:
    at = 0
    while at < len(text):
        match = _WORD.match(text, at)
        if match is None:
            raise LeaseFileError(f"this file of dhclient has a quotation mark without an end, at character {at}")
        at = match.end()
        if match.lastindex:
            yield match.group()


def _drafts(words: Iterator[str]) -> Iterator[_Draft]:
    """Walk over the statements; blocks other than leases are passed over."""
    statement: list[str] = []
    draft: _Draft | None = None
    depth = 0
    for word in words:
        if word == "{":
            depth += 1
            draft = _Draft() if depth == 1 and statement == ["lease"] else draft
            statement = []
        elif word == "}":
            depth -= 1
            if depth == 0 and draft is not None:
                yield draft
                draft = None
            statement = []
        elif word == ";":
            if draft is not None and depth == 1:
                _note(draft, statement)
            statement = []
        else:
            statement.append(word)


def _note(draft: _Draft, statement: list[str]) -> None:
    match statement:
        case ["interface", name]:
            draft.interface = _unquoted(name).decode("utf-8", "replace")
        case ["fixed-address", address]:
            draft.address = address
        case ["option", name, value]:
            code = _code(name)
            if code is not None:
                draft.options.append((code, _value(name, value)))


def _code(name: str) -> int | None:
    """The code of an option's name; those that mean nothing to IGEL OS are not needed."""
    name = name.rpartition(".")[2]
    unknown = re.fullmatch(r"(?:unknown-|option-)([0-9]{1,3})", name, re.ASCII)
    if unknown and 0 < int(unknown[1]) < 255:
        return int(unknown[1])
    return _NAMED.get(name)


def _value(name: str, text: str) -> bytes:
    if text.startswith('"'):
        value = _unquoted(text)
    elif _ADDRESSES.fullmatch(text):  # of type ip-address in dhclient.conf, which is a mistake of many
        value = b"".join(IPv4Address(one).packed for one in text.split(","))
    elif _BYTES.fullmatch(text):
        value = bytes(int(one, 16) for one in text.split(":"))
    else:
        raise LeaseFileError(f"option {name[:40]} is neither a text in quotes nor bytes with colons, nor addresses")
    return value[:MAX_OPTION_BYTES]


def _unquoted(text: str) -> bytes:
    """Undo dhclient's quoting: a backslash and an octal number, or the character itself."""
    bare = text[1:-1] if text.startswith('"') else text
    return _ESCAPE.sub(_unescaped, bare.encode("utf-8", "surrogateescape"))


def _unescaped(match: re.Match[bytes]) -> bytes:
    what = match[1]
    if what[:1] in b"01234567":
        return bytes((int(what, 8) & 0xFF,))
    if len(what) > 1:
        return bytes((int(what[1:], 16),))
    return {b"n": b"\n", b"r": b"\r", b"t": b"\t"}.get(what, what)


# systemd-networkd and NetworkManager.


def _read_assignments(lines: list[str]) -> LeaseRecord:
    values = {match[1]: match[2] for line in lines if (match := _ASSIGNMENT.fullmatch(line))}
    options: list[tuple[int, bytes]] = []
    for name, text in values.items():
        private = re.fullmatch(r"OPTION_([0-9]{1,3})", name, re.ASCII)
        code = int(Code.VENDOR_SPECIFIC) if name == "VENDOR_SPECIFIC" else int(private[1]) if private else 0
        if 0 < code < 255:
            options.append((code, _hex(name, text)))
    if "ADDRESS" not in values:
        raise LeaseFileError("these lines are not a lease of systemd-networkd or NetworkManager: ADDRESS is missing")
    remarks = []
    if not options:
        remarks.append(
            "no options 43, 224 or 226 in it: the server sent none, the client did not ask for them, or does not "
            "keep them in this file (newer versions of NetworkManager)"
        )
    writer = "systemd-networkd or NetworkManager"
    return LeaseRecord(writer, "", values["ADDRESS"][:40], gather(options), tuple(remarks))


def _hex(name: str, text: str) -> bytes:
    try:
        return bytes.fromhex(text)[:MAX_OPTION_BYTES]
    except ValueError:
        raise LeaseFileError(f"{name} is not in hexadecimal digits") from None
