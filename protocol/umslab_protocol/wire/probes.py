# SPDX-License-Identifier: Apache-2.0
"""Online checks and scans on UDP 30005: what a UMS asks, and what a device answers (P9, N4, N11-N15).

Provenance: SIMULATED. Neither the bytes of the online check (NP1) nor those of the scan (NP2) are published; that the
port for the answer stands inside the probe is (N13, T13). All five packets begin with the same 42 bytes, in network
order (docs/protocol.md draws them):

     0   4  magic          "uSIM"
     4   1  version        1
     5   1  kind           1 online check, 2 scan; the answer to each has 0x80 added
     6   2  in a probe     the port that the answer is sent to; 0: to where the probe came from
            in an answer   how many bytes follow the 42
     8  16  nonce          the sender's random bytes, repeated by the answer
    24  18  unit ID        ASCII, padded with NUL: in a probe of whom it is asked (of a scan: nobody, all NUL), in an
                           answer who it is

The order to register (NP13) is sent to a device that a scan has found: kind 3, the number of bytes that follow, the
nonce of that scan, the unit ID; then 2 bytes web port, 2 bytes device-communication port (TCP 30001) of the UMS, whose
address is where the order comes from, and 32 bytes of a token that registers this device once.

The answer to a scan goes on: 6 bytes MAC address, 1 byte flags (bit 0: the device has a UMS already), then name,
product and firmware version, each a byte with its length and so much UTF-8. Over TCP (T14) the bytes are the same.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass, field
from enum import IntEnum
from functools import lru_cache
from typing import NamedTuple

from umslab_protocol.errors import InvalidValueError, LocalProtocolError, RemoteProtocolError
from umslab_protocol.values.unit_id import MacAddress, UnitId, parse_unit_id

PROBE_PORT = 30_005
"""Where devices listen, on UDP and on TCP (P9, P10)."""
MAGIC = b"uSIM"
VERSION = 1
NONCE_BYTES = 16
MAX_TEXT_BYTES = 128
MAX_ANSWER_BYTES = 512
ANSWER_BIT = 0x80
_HEAD = struct.Struct("!6sH16s18s")  # the first three fields are one of four constants, which is compared at once
HEAD_BYTES = _HEAD.size
_BODY = struct.Struct("!6sB")
_ORDER = struct.Struct("!HH32s")
TOKEN_BYTES = 32
_HAS_UMS = 0x01
_NOBODY = bytes(18)
_KNOWN_UNITS = 1 << 15


class ProbeKind(IntEnum):
    """What is asked."""

    ONLINE_CHECK = 1
    SCAN = 2
    REGISTER = 3


def _begins(kind: int) -> bytes:
    return MAGIC + bytes((VERSION, kind))


_CHECK, _SCAN = _begins(ProbeKind.ONLINE_CHECK), _begins(ProbeKind.SCAN)
_REGISTER = _begins(ProbeKind.REGISTER)
_CHECK_ANSWER, _SCAN_ANSWER = _begins(ANSWER_BIT | ProbeKind.ONLINE_CHECK), _begins(ANSWER_BIT | ProbeKind.SCAN)


class Probe(NamedTuple):
    """A question of a UMS."""

    nonce: bytes
    reply_port: int
    """0: answer to where the probe came from."""
    unit_id: UnitId | None
    """Who is asked; None: a scan, which asks everybody."""


class OnlineAnswer(NamedTuple):
    """I am here."""

    nonce: bytes
    unit_id: UnitId


@dataclass(frozen=True, slots=True, kw_only=True)
class ScanAnswer:
    """I am here, and this is what I am (N15)."""

    nonce: bytes
    unit_id: UnitId
    mac: MacAddress
    name: str
    product: str
    firmware: str
    has_ums: bool
    """Whether it is registered somewhere already, here or elsewhere."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RegisterOrder:
    """Register where this comes from (O4, NP13)."""

    nonce: bytes
    """That of the scan which found the device."""
    unit_id: UnitId
    web_port: int
    os11_port: int
    """0: the UMS takes no OS 11 devices."""
    token: bytes = field(repr=False)


# Probes.


def write_online_check(unit_id: UnitId, nonce: bytes, reply_port: int) -> bytes:
    """Ask one device whether it is there."""
    return _HEAD.pack(_CHECK, reply_port, nonce, unit_id.encode())


def write_scan(nonce: bytes, reply_port: int) -> bytes:
    """Ask who is there."""
    return _HEAD.pack(_SCAN, reply_port, nonce, _NOBODY)


def read_probe(data: bytes) -> Probe:
    """Read a probe, or raise `RemoteProtocolError`."""
    if len(data) != HEAD_BYTES:
        raise RemoteProtocolError(f"a probe has {HEAD_BYTES} bytes, not {len(data)}", code="bad-length")
    begin, reply_port, nonce, unit = _HEAD.unpack(data)
    if begin == _CHECK:
        return Probe(nonce, reply_port, _read_unit(unit))
    if begin != _SCAN:
        raise _unexpected(begin, "a probe")
    if unit != _NOBODY:
        raise RemoteProtocolError("a scan asks everybody and names no unit ID", code="bad-unit-id")
    return Probe(nonce, reply_port, None)


# The order.


def write_register_order(order: RegisterOrder) -> bytes:
    """Order a device to register. Raises `LocalProtocolError` for a token of another length."""
    if len(order.token) != TOKEN_BYTES:
        raise LocalProtocolError(f"a token has {TOKEN_BYTES} bytes")
    head = _HEAD.pack(_REGISTER, _ORDER.size, order.nonce, order.unit_id.encode())
    return head + _ORDER.pack(order.web_port, order.os11_port, order.token)


def is_register_order(data: bytes) -> bool:
    """Whether this begins like an order and not like a probe."""
    return data.startswith(_REGISTER)


def read_register_order(data: bytes) -> RegisterOrder:
    """Read an order to register, or raise `RemoteProtocolError`."""
    if len(data) != HEAD_BYTES + _ORDER.size:
        raise RemoteProtocolError(f"an order has {HEAD_BYTES + _ORDER.size} bytes, not {len(data)}", code="bad-length")
    begin, length, nonce, unit = _HEAD.unpack_from(data)
    if begin != _REGISTER:
        raise _unexpected(begin, "an order to register")
    if length != _ORDER.size:
        raise RemoteProtocolError("the order is not as long as it says", code="bad-length")
    web_port, os11_port, token = _ORDER.unpack_from(data, HEAD_BYTES)
    return RegisterOrder(nonce=nonce, unit_id=_read_unit(unit), web_port=web_port, os11_port=os11_port, token=token)


# Answers.


def write_online_answer(unit_id: UnitId, nonce: bytes) -> bytes:
    """Say that this device is there."""
    return _HEAD.pack(_CHECK_ANSWER, 0, nonce, unit_id.encode())


def write_scan_answer(answer: ScanAnswer) -> bytes:
    """Say what this device is; texts are cut to what fits. Raises `LocalProtocolError` for what is not printable."""
    texts = [_write_text(text) for text in (answer.name, answer.product, answer.firmware)]
    body = _BODY.pack(bytes.fromhex(answer.mac), _HAS_UMS if answer.has_ums else 0) + b"".join(texts)
    return _HEAD.pack(_SCAN_ANSWER, len(body), answer.nonce, answer.unit_id.encode()) + body


def read_online_answer(data: bytes) -> OnlineAnswer:
    """Read an answer to an online check, or raise `RemoteProtocolError`."""
    if len(data) != HEAD_BYTES:
        raise RemoteProtocolError(f"this answer has {HEAD_BYTES} bytes, not {len(data)}", code="bad-length")
    begin, length, nonce, unit = _HEAD.unpack(data)
    if begin != _CHECK_ANSWER:
        raise _unexpected(begin, "an answer to an online check")
    if length:
        raise RemoteProtocolError("nothing follows the head of this answer", code="bad-length")
    return OnlineAnswer(nonce, _read_unit(unit))


def answer_length(head: bytes) -> int:
    """How many bytes follow these 42 of an answer to a scan: for streams. Raises `RemoteProtocolError`."""
    if len(head) != HEAD_BYTES:
        raise RemoteProtocolError(f"an answer begins with {HEAD_BYTES} bytes, not {len(head)}", code="bad-length")
    begin, length, _, _ = _HEAD.unpack(head)
    if begin != _SCAN_ANSWER:
        raise _unexpected(begin, "an answer to a scan")
    if not _BODY.size <= length <= MAX_ANSWER_BYTES - HEAD_BYTES:
        raise RemoteProtocolError(f"an answer to a scan does not go on for {length} bytes", code="bad-length")
    return int(length)


def read_scan_answer(data: bytes) -> ScanAnswer:
    """Read an answer to a scan, or raise `RemoteProtocolError`."""
    if len(data) - HEAD_BYTES != answer_length(data[:HEAD_BYTES]):
        raise RemoteProtocolError("the answer is not as long as it says", code="bad-length")
    _, _, nonce, unit = _HEAD.unpack_from(data)
    mac, flags = _BODY.unpack_from(data, HEAD_BYTES)
    name, product, firmware = _read_texts(data, HEAD_BYTES + _BODY.size)
    return ScanAnswer(
        nonce=nonce,
        unit_id=_read_unit(unit),
        mac=MacAddress(mac.hex().upper()),
        name=name,
        product=product,
        firmware=firmware,
        has_ums=bool(flags & _HAS_UMS),
    )


# Inside.


def _unexpected(begin: bytes, wanted: str) -> RemoteProtocolError:
    """Say what is wrong with the first six bytes."""
    version, kind = begin[-2:]
    if begin[:-2] != MAGIC:
        return RemoteProtocolError("these are no bytes of umslab's simulated 30005", code="bad-magic")
    if version != VERSION:
        return RemoteProtocolError(f"version {version} is not known here", code="bad-version")
    return RemoteProtocolError(f"{kind} is not the kind of {wanted}", code="bad-kind")


@lru_cache(maxsize=_KNOWN_UNITS)  # devices answer again and again, and checking a unit ID costs more than all the rest
def _read_unit(field: bytes) -> UnitId:
    try:
        return parse_unit_id(field.rstrip(b"\0").decode("ascii"))
    except (InvalidValueError, UnicodeDecodeError):
        raise RemoteProtocolError("the unit ID is none", code="bad-unit-id") from None


def _write_text(text: str) -> bytes:
    if not text.isprintable():
        raise LocalProtocolError(f"{text[:40]!r} is not printable")
    data = text.encode()[:MAX_TEXT_BYTES].decode("utf-8", "ignore").encode()
    return bytes((len(data),)) + data


def _read_texts(data: bytes, start: int) -> list[str]:
    """Read three texts that end where the data ends."""
    texts: list[str] = []
    for _ in range(3):
        end = start + 1 + (data[start] if start < len(data) else MAX_ANSWER_BYTES)
        if end > len(data) or end - start > MAX_TEXT_BYTES + 1:
            raise RemoteProtocolError("a text is longer than it may be", code="bad-text")
        try:
            text = data[start + 1 : end].decode()
        except UnicodeDecodeError:
            raise RemoteProtocolError("a text is not UTF-8", code="bad-text") from None
        if not text.isprintable():
            raise RemoteProtocolError("a text is not printable", code="bad-text")
        texts.append(text)
        start = end
    if start != len(data):
        raise RemoteProtocolError("something follows the texts", code="bad-length")
    return texts
