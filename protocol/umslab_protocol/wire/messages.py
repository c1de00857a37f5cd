# SPDX-License-Identifier: Apache-2.0
"""The messages on the management WebSocket, version 1.

Provenance: SIMULATED. IGEL does not publish what travels on `ws-connect` (NP6, NP7, NP18-NP22); every name and byte
here is ours, except that attributes of a device carry the names of the vendor's REST interface (section 15.4; only
`firmwareVersion` is ours, because that interface has a database number there) and that message names follow published
command names where there are any (section 5.3). `docs/protocol.md` describes the format; this file is its source.

Each message is one WebSocket text message holding one JSON object with a `type`; a binary message is read alike. After
the greeting, a message that wants an answer carries an `id` that its sender has not used in this session; the answer
names it in `re`. Unknown members are ignored, so that a newer minor format can be spoken to an older peer; an unknown
`type` is answered with an `error`.
"""

from __future__ import annotations

from typing import Annotated

import msgspec
from msgspec import Meta, Struct

from umslab_protocol.errors import RemoteProtocolError

SUBPROTOCOL = "umslab.session.v1"
VERSIONS = (1,)
MAX_MESSAGE_BYTES = 256 * 1024
DEFAULT_PING_SECONDS = 120.0  # like OS 11 and ICG (I7); OS 12's own value is unknown (NP7)

Text = Annotated[str, Meta(max_length=255)]
LongText = Annotated[str, Meta(max_length=2000)]
MessageId = Annotated[int, Meta(ge=1, le=2**53)]


class DeviceInfo(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What a device says about itself; names as in section 15.4 of the facts, all optional but the first four."""

    unitID: Text  # noqa: N815 - the published name
    mac: Text
    firmwareVersion: Text  # noqa: N815 - ours
    productId: Text  # noqa: N815
    networkName: Text = ""  # noqa: N815
    serialNumber: Text = ""  # noqa: N815
    umsStructuralTag: Text = ""  # noqa: N815
    deviceType: Text = ""  # noqa: N815
    deviceSerialNumber: Text = ""  # noqa: N815
    osType: Text = ""  # noqa: N815
    cpuType: Text = ""  # noqa: N815
    cpuSpeed: int = 0  # noqa: N815
    memorySize: int = 0  # noqa: N815
    flashSize: int = 0  # noqa: N815
    biosVendor: Text = ""  # noqa: N815
    biosVersion: Text = ""  # noqa: N815
    biosDate: Text = ""  # noqa: N815
    batteryLevel: int = -1  # noqa: N815
    lastBoottime: Text = ""  # noqa: N815
    totalUptime: Text = ""  # noqa: N815


class Hello(Struct, frozen=True, kw_only=True, tag="hello", tag_field="type"):
    """Device to server, first: who speaks, and which versions of this format."""

    versions: Annotated[list[int], Meta(min_length=1, max_length=16)]
    unitID: Text  # noqa: N815
    firmwareVersion: Text  # noqa: N815


class Welcome(Struct, frozen=True, kw_only=True, tag="welcome", tag_field="type"):
    """Server to device, answer to hello: the chosen version and the rules of this session."""

    version: int
    server: Text
    session: Text
    pingSeconds: float  # noqa: N815
    maxMessageBytes: int  # noqa: N815


class UpdateDeviceInfo(Struct, frozen=True, kw_only=True, tag="updateDeviceInfo", tag_field="type"):
    """Device to server: what the device is (L1); acknowledged when it is stored."""

    id: MessageId
    info: DeviceInfo


class Deregister(Struct, frozen=True, kw_only=True, tag="deregister", tag_field="type"):
    """Server to device: you were deleted; forget this server, acknowledge, do not come back (L4)."""

    id: MessageId
    reason: LongText = ""


class Ack(Struct, frozen=True, kw_only=True, tag="ack", tag_field="type"):
    """Either way: the message with this id is done, and durable where that matters."""

    re: MessageId


class Error(Struct, frozen=True, kw_only=True, tag="error", tag_field="type"):
    """Either way: the message with this id (or an unreadable one) was not done; the session goes on."""

    code: Text
    message: LongText
    re: MessageId | None = None


Message = Hello | Welcome | UpdateDeviceInfo | Deregister | Ack | Error
MESSAGE_TYPES: tuple[type[Struct], ...] = (Hello, Welcome, UpdateDeviceInfo, Deregister, Ack, Error)

_encoder = msgspec.json.Encoder()
_decoder: msgspec.json.Decoder[Message] = msgspec.json.Decoder(Message)


class _Envelope(Struct):
    type: str
    id: MessageId | None = None


_envelope_decoder = msgspec.json.Decoder(_Envelope)
_UNREADABLE = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)  # all that msgspec raises for foreign bytes
_KNOWN = {kind.__struct_config__.tag for kind in MESSAGE_TYPES}


class UnreadableMessageError(RemoteProtocolError):
    """The peer's message cannot be read; `re` is its id where that much could be read.

    `code` is `not-json`, `unknown-type` or `invalid-message`.
    """

    def __init__(self, reason: str, *, code: str, re: int | None = None) -> None:
        super().__init__(reason, code=code)
        self.re = re


def encode_message(message: Message) -> bytes:
    """Write one message as the payload of a WebSocket text message."""
    return _encoder.encode(message)


def decode_message(payload: bytes) -> Message:
    """Read one message; raises `UnreadableMessageError`. The caller bounds the length.

    A byte-order mark in front is tolerated, as agents tolerate it since OS 12.10.0 (W14).
    """
    payload = payload.removeprefix(b"\xef\xbb\xbf")
    try:
        return _decoder.decode(payload)
    except _UNREADABLE as error:
        raise _explain(payload, str(error)[:300]) from None


def _explain(payload: bytes, reason: str) -> UnreadableMessageError:
    try:
        envelope = _envelope_decoder.decode(payload)
    except msgspec.ValidationError:
        return UnreadableMessageError(reason, code="invalid-message")
    except _UNREADABLE as error:
        return UnreadableMessageError(f"the message is not JSON: {error}", code="not-json")
    if envelope.type not in _KNOWN:
        return UnreadableMessageError(f"unknown type {envelope.type[:60]!r}", code="unknown-type", re=envelope.id)
    return UnreadableMessageError(reason, code="invalid-message", re=envelope.id)
