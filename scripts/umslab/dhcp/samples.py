# SPDX-License-Identifier: Apache-2.0
"""From what a person has at hand (hexadecimal digits, a lease file, a capture) to sets of options."""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING

from umslab.dhcp.captures import CaptureError, is_capture, read_capture
from umslab.dhcp.digits import NotDigitsError, read_digits
from umslab.dhcp.lease_files import LeaseFileError, is_lease_file, read_lease_file
from umslab_protocol.wire.dhcp import COOKIE, DhcpMessage, MessageType, Op, Quirk, read_message
from umslab_protocol.wire.dhcp_options import Code, DhcpProblem, MalformedDhcpError, Option, gather, read_field

if TYPE_CHECKING:
    from collections.abc import Sequence

MAX_INPUT_BYTES = 64 << 20
MAX_TEXT_BYTES = 4 << 20
_COOKIE_AT = 236
_UTF16 = {b"\xff\xfe", b"\xfe\xff"}
"""How a file begins that PowerShell wrote."""
_PAIR = re.compile(r"\s*([0-9]{1,3})\s*=(.*)")
_QUIRKS = {
    Quirk.NO_END: "there is no End option",
    Quirk.TRAILING: "bytes follow the End option",
    Quirk.OVERLOADED: "options stand in file or sname too (option 52)",
    Quirk.SPLIT: "a value is split over several options (RFC 3396)",
}


class Form(StrEnum):
    """What hexadecimal digits are."""

    AUTO = "auto"
    OPTION43 = "43"
    OPTIONS = "options"
    MESSAGE = "message"


class UnreadableError(Exception):
    """What was given is nothing we can read; the text says why."""


@dataclass(frozen=True, slots=True)
class Sample:
    """One set of options that a device was given, and where it stands."""

    title: str
    options: tuple[Option, ...]
    remarks: tuple[str, ...] = ()


@dataclass(slots=True)
class Samples:
    """What was found, what was seen beside it, and what could not be read, by reason."""

    found: list[Sample] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    malformed: Counter[DhcpProblem] = field(default_factory=Counter)


def read_file(path: Path) -> bytes:
    """Read a file, bounded; raises `UnreadableError`."""
    try:
        with path.open("rb") as stream:
            data = stream.read(MAX_INPUT_BYTES + 1)
    except OSError as error:
        raise UnreadableError(f"{path}: {error.strerror or error}") from None
    if len(data) > MAX_INPUT_BYTES:
        raise UnreadableError(f"{path} has more than {MAX_INPUT_BYTES >> 20} MiB: filter it for UDP ports 67 and 68")
    return data


def is_path(text: str) -> bool:
    """Whether a file is meant."""
    try:
        return bool(text) and Path(text).exists()
    except (OSError, ValueError):  # too long for a name, or a NUL in it
        return False


def read_samples(data: bytes, form: Form = Form.AUTO) -> Samples:
    """Find out what this is and read it; raises `UnreadableError`."""
    if is_capture(data):
        return _of_capture(data)
    if data[_COOKIE_AT : _COOKIE_AT + 4] == COOKIE and data[:1] in {b"\1", b"\2"}:
        return _of_message(data)
    if len(data) > MAX_TEXT_BYTES:
        raise UnreadableError(f"this is no capture, and no text of at most {MAX_TEXT_BYTES >> 20} MiB")
    text = data.decode("utf-16" if data[:2] in _UTF16 else "utf-8-sig", "replace")
    if is_lease_file(text):
        return _of_lease_file(text)
    lines = [line for line in text.splitlines() if line.strip() and not line.lstrip().startswith("#")]
    if lines and all(_PAIR.fullmatch(line) for line in lines):
        return _of_pairs(lines)
    try:
        return _of_bytes(read_digits("\n".join(lines)), form)
    except NotDigitsError:
        raise UnreadableError(
            f'{text.strip()[:40]!r} is neither a file, nor hexadecimal digits, nor CODE=DIGITS, nor CODE="TEXT", '
            "nor a lease file, nor a capture"
        ) from None


def _of_lease_file(text: str) -> Samples:
    try:
        records = read_lease_file(text)
    except LeaseFileError as error:
        raise UnreadableError(str(error)) from None
    samples = Samples()
    for record in records:
        where = f" on {record.interface}" if record.interface else ""
        title = f"the lease of {record.address or 'no address'}{where}, written by {record.writer}"
        samples.found.append(Sample(title, record.options, record.remarks))
    return samples


# Bytes.


def _of_pairs(lines: Sequence[str]) -> Samples:
    """Lines such as `224 = 75:6d:73`, or with a text in quotes."""
    options: list[Option] = []
    for line in lines:
        match = _PAIR.fullmatch(line)
        code, value = (int(match[1]), match[2].strip()) if match else (0, "")
        if not 0 < code < 255:
            raise UnreadableError(f"{code} is not the code of an option: expected a number from 1 to 254")
        options.append(Option(code, _value(code, value)))
    return Samples([Sample("these options", gather((option.code, option.value) for option in options))])


def _value(code: int, text: str) -> bytes:
    if len(text) >= 2 and text[0] == text[-1] and text[0] in "\"'":
        return text[1:-1].encode()
    try:
        return read_digits(text)
    except NotDigitsError:
        raise UnreadableError(
            f"{text[:40]!r} is not in hexadecimal digits; a text stands in quotation marks, which a shell takes away "
            f"unless there are others around them: '{code}=\"{text[:40]}\"'"
        ) from None


def _of_bytes(data: bytes, form: Form) -> Samples:
    if not data:
        raise UnreadableError("there are no bytes to decode")
    at = max(0, data.find(COOKIE) - _COOKIE_AT)  # a frame copied from Wireshark has headers before the message
    if form is Form.MESSAGE or (form is Form.AUTO and data[at + _COOKIE_AT :].startswith(COOKIE)):
        return _of_message(data[at:])
    if form is Form.OPTIONS or (form is Form.AUTO and _looks_like_options(data)):
        found = read_field(data.removeprefix(COOKIE))
        remarks = () if found.problem is None else (f"damaged: {found.problem}; what stands before that counts",)
        return Samples([Sample("these options", gather(found.pieces), remarks)])
    return Samples([Sample("this option 43", (Option(Code.VENDOR_SPECIFIC, data),))])


def _looks_like_options(data: bytes) -> bool:
    """A list of options has what option 43 of IGEL has not: a cookie, a message type, or option 43 itself."""
    if data.startswith(COOKIE):
        return True
    codes = {code for code, _ in read_field(data).pieces}
    return bool(codes & {Code.MESSAGE_TYPE, Code.VENDOR_SPECIFIC, Code.SERVER_ID, Code.VENDOR_CLASS})


def _of_message(data: bytes) -> Samples:
    try:
        message = read_message(data)
    except MalformedDhcpError as error:
        raise UnreadableError(f"this is no DHCP message: {error} ({error.problem})") from None
    if message.op is Op.REQUEST:
        return Samples(notes=[_said(message)])
    return Samples([Sample(_title(message), message.options, _remarks(message))])


# Captures.


def _of_capture(data: bytes) -> Samples:
    try:
        capture = read_capture(data)
    except CaptureError as error:
        raise UnreadableError(str(error)) from None
    samples = Samples()
    replies: dict[tuple[bytes, int], list[tuple[int, DhcpMessage]]] = {}
    for captured in capture.datagrams:
        try:
            message = read_message(captured.payload)
        except MalformedDhcpError as error:
            samples.malformed[error.problem] += 1
            samples.notes.append(f"packet {captured.number} is malformed: {error} ({error.problem})")
            continue
        if message.op is Op.REQUEST:
            samples.notes.append(f"packet {captured.number}: {_said(message)}")
        else:
            replies.setdefault((message.chaddr, message.xid), []).append((captured.number, message))
    for conversation in replies.values():
        _of_conversation(conversation, samples)
    if not capture.datagrams:
        samples.notes.append(f"no DHCP over IPv4 in {capture.packets} packets")
    samples.notes += [f"{count} packets were skipped: {why}" for why, count in sorted(capture.skipped.items())]
    samples.notes += [f"the capture was not read to its end: {capture.damage}"] if capture.damage else []
    return samples


def _of_conversation(conversation: list[tuple[int, DhcpMessage]], samples: Samples) -> None:
    """The acknowledgement counts; without one, every offer does."""
    by_kind: dict[MessageType, list[tuple[int, DhcpMessage]]] = {}
    for number, message in conversation:
        by_kind.setdefault(message.kind, []).append((number, message))
    for number, message in by_kind.get(MessageType.NAK, []):
        samples.notes.append(f"packet {number}: {_title(message)}")
    servers = {message.get(Code.SERVER_ID) for _, message in by_kind.get(MessageType.OFFER, [])}
    if len(servers) > 1:
        count = f"{len(servers)} servers made offers to {_mac(conversation[0][1])}"
        samples.notes.append(f"{count}: a device may get its options from either of them")
    for number, message in by_kind.get(MessageType.ACK, []) or by_kind.get(MessageType.OFFER, []):
        samples.found.append(Sample(f"packet {number}, {_title(message)}", message.options, _remarks(message)))


# Words.


def _title(message: DhcpMessage) -> str:
    server = message.get(Code.SERVER_ID)
    who = f" from {_address(server.value)}" if server is not None else ""
    address = message.yiaddr if int(message.yiaddr) else message.ciaddr
    return f"the {message.kind.name}{who} for {_mac(message)}, {address}"


def _said(message: DhcpMessage) -> str:
    """What a client says of itself, as far as it matters to IGEL (D3)."""
    vendor, asked = message.get(Code.VENDOR_CLASS), message.get(Code.PARAMETER_LIST)
    name = "no vendor class" if vendor is None else f"vendor class {vendor.value.decode('ascii', 'backslashreplace')}"
    wanted = sorted(set(b"" if asked is None else asked.value) & {43, 224, 226})
    listed = ", ".join(map(str, wanted)) or "none of 43, 224, 226"
    return f"{message.kind.name} of {_mac(message)}: {name}, asks for {listed}"


def _remarks(message: DhcpMessage) -> tuple[str, ...]:
    return tuple(text for quirk, text in _QUIRKS.items() if quirk in message.quirks)


def _mac(message: DhcpMessage) -> str:
    return message.chaddr.hex(":").upper() or "no hardware address"


def _address(value: bytes) -> str:
    return ".".join(map(str, value)) if len(value) == 4 else value.hex()
