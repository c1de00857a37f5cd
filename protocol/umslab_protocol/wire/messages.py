# SPDX-License-Identifier: Apache-2.0
"""The messages on the management WebSocket, version 1.

Provenance: SIMULATED. IGEL does not publish what travels on `ws-connect` (NP6-NP8, NP18-NP22); every byte here is ours.
Messages carry the published name of the operation where there is one (section 5.3: `pushsysinfo`, `pushappstatus`,
`pullsettings` ...). `docs/protocol.md` describes the format; this file, inventory.py and orders.py are its source.

Each message is one WebSocket text message holding one JSON object with a `type`; a binary message is read alike. A
message that wants an answer carries an `id`, greater than every one its sender has used in this session; the answer
names it in `re`. Unknown members are ignored, so that a newer minor format can be spoken to an older peer; an unknown
`type`, an `id` that is not greater, and a message that may not come now are answered with an `error`.
"""

from __future__ import annotations

from typing import Annotated

import msgspec
from msgspec import Meta, Struct

from umslab_protocol.errors import RemoteProtocolError
from umslab_protocol.wire.inventory import (
    AppState,
    AssetEvent,
    DeviceAttribute,
    DeviceInfo,
    FileState,
    Licence,
    LogonEvent,
    LongText,
    Runtime,
    Text,
)
from umslab_protocol.wire.orders import (
    AppOrder,
    CommandName,
    Connector,
    EnrolmentAddress,
    FileOrder,
    Parameters,
    ResultState,
)
from umslab_protocol.wire.orders import Settings as SettingsMap

SUBPROTOCOL = "umslab.session.v1"
VERSIONS = (1,)
MAX_MESSAGE_BYTES = 256 * 1024
DEFAULT_PING_SECONDS = 120.0  # like OS 11 and ICG (I7); OS 12's own value is unknown (NP7)

MessageId = Annotated[int, Meta(ge=1, le=2**53)]
Version = Annotated[int, Meta(ge=0, le=2**53)]


class Hello(Struct, frozen=True, kw_only=True, tag="hello", tag_field="type", omit_defaults=True):
    """Device to server, first: who speaks, which versions of this format, which boot this is, what it has."""

    versions: Annotated[list[int], Meta(min_length=1, max_length=16)]
    unitID: Text  # noqa: N815
    firmwareVersion: Text  # noqa: N815
    boot: Text = ""
    """Differs after every boot and stays over reconnects."""
    connectors: Text = ""
    """Digest of the connector list it holds, as the server named it; empty for none."""
    roots: Text = ""
    """Digest of the announced roots it holds, as the server named it; empty for none."""


class Heartbeat(Struct, frozen=True, kw_only=True):
    """How often a device gives a sign of life (section 9 of the facts)."""

    intervalSeconds: Annotated[float, Meta(gt=0)]  # noqa: N815
    offsetSeconds: Annotated[float, Meta(ge=0)]  # noqa: N815
    """Each sign comes this much later at most, by chance."""


class Welcome(Struct, frozen=True, kw_only=True, tag="welcome", tag_field="type", omit_defaults=True):
    """Server to device, answer to hello: the chosen version and the rules of this session."""

    version: int
    server: Text
    session: Text
    pingSeconds: float  # noqa: N815
    maxMessageBytes: int  # noqa: N815
    heartbeat: Heartbeat | None = None
    fileTransferPort: Annotated[int, Meta(ge=0, le=65_535)] = 0  # noqa: N815
    """To an OS 11 device: where it fetches files (FU1); 0 for 30003."""


# Device to server.


class PushSysinfo(Struct, frozen=True, kw_only=True, tag="pushsysinfo", tag_field="type"):
    """Device to server: what the device is (L1); acknowledged when it is stored."""

    id: MessageId
    info: DeviceInfo


class PushRuntime(Struct, frozen=True, kw_only=True, tag="pushruntime", tag_field="type"):
    """Device to server: the heartbeat, with what changes all the time (NP19)."""

    id: MessageId
    runtime: Runtime


class PushAppStatus(Struct, frozen=True, kw_only=True, tag="pushappstatus", tag_field="type"):
    """Device to server: all apps with their states."""

    id: MessageId
    apps: Annotated[list[AppState], Meta(max_length=200)]


class PushFileStatus(Struct, frozen=True, kw_only=True, tag="pushfilestatus", tag_field="type"):
    """Device to server: all ordered files with their states."""

    id: MessageId
    files: Annotated[list[FileState], Meta(max_length=200)]


class PushLicenseInfo(Struct, frozen=True, kw_only=True, tag="pushlicenseinfo", tag_field="type"):
    """Device to server: all licences with their states."""

    id: MessageId
    licences: Annotated[list[Licence], Meta(max_length=200)]


class PushDeviceAttributes(Struct, frozen=True, kw_only=True, tag="pushdeviceattributes", tag_field="type"):
    """Device to server: attributes that the device writes (11.2)."""

    id: MessageId
    attributes: Annotated[list[DeviceAttribute], Meta(max_length=200)]


class PushLogonEvents(Struct, frozen=True, kw_only=True, tag="pushlogonevents", tag_field="type"):
    """Device to server: users that logged on or off since the last time (section 5.3)."""

    id: MessageId
    events: Annotated[list[LogonEvent], Meta(max_length=200)]


class PushAssetEvents(Struct, frozen=True, kw_only=True, tag="pushassetevents", tag_field="type"):
    """Device to server: assets that came or went since the last time (11.4)."""

    id: MessageId
    events: Annotated[list[AssetEvent], Meta(max_length=200)]


class PushSettings(Struct, frozen=True, kw_only=True, tag="pushsettings", tag_field="type"):
    """Device to server: the settings made on the device itself."""

    id: MessageId
    settings: SettingsMap


class PullSettings(Struct, frozen=True, kw_only=True, tag="pullsettings", tag_field="type"):
    """Device to server: what am I to have? Answered by `settings`, or by `ack` when there is nothing new for it now."""

    id: MessageId
    version: Version = 0
    """The version it has; 0 for none."""
    digest: Text = ""
    """The digest that came with it."""


# Server to device.


class SettingsMessage(Struct, frozen=True, kw_only=True, tag="settings", tag_field="type", omit_defaults=True):
    """Server to device: everything it is to have, whole; what is not in it is not to be there any more (NP21).

    Acknowledged when it is durable on the device; a parameter that is not in it has its default.
    """

    id: MessageId
    re: MessageId | None = None
    """The `pullsettings` it answers."""
    version: Version
    digest: Text
    settings: SettingsMap = {}
    apps: Annotated[list[AppOrder], Meta(max_length=200)] = []
    files: Annotated[list[FileOrder], Meta(max_length=200)] = []


class Command(Struct, frozen=True, kw_only=True, tag="command", tag_field="type", omit_defaults=True):
    """Server to device: do this; answered by `result`. The same `execID` again is answered again, not done again."""

    id: MessageId
    execID: Text  # noqa: N815
    command: CommandName
    parameters: Parameters = {}


class Connectors(Struct, frozen=True, kw_only=True, tag="connectors", tag_field="type", omit_defaults=True):
    """Server to device: the addresses to connect to, in place of all earlier ones (W5); acknowledged when durable."""

    id: MessageId
    digest: Text
    connectors: Annotated[list[Connector], Meta(max_length=64)]
    enrolment: EnrolmentAddress = ""
    """Where to enrol and renew; empty: at the connectors (S7)."""


class Roots(Struct, frozen=True, kw_only=True, tag="roots", tag_field="type"):
    """Server to device: the roots to trust, in place of all earlier ones (C36, V2); acknowledged when durable."""

    id: MessageId
    digest: Text
    pem: Annotated[str, Meta(max_length=128 * 1024)]


class Deregister(Struct, frozen=True, kw_only=True, tag="deregister", tag_field="type"):
    """Server to device: you were deleted; forget this server, acknowledge, do not come back (L4)."""

    id: MessageId
    reason: LongText = ""


# Either way.


class Ack(Struct, frozen=True, kw_only=True, tag="ack", tag_field="type"):
    """Either way: the message with this id is done, and durable where that matters."""

    re: MessageId


class Result(Struct, frozen=True, kw_only=True, tag="result", tag_field="type", omit_defaults=True):
    """Device to server: how the command with this id ended; members as in CommandExec (section 15.4)."""

    re: MessageId
    execID: Text  # noqa: N815
    state: ResultState
    message: LongText = ""


class Error(Struct, frozen=True, kw_only=True, tag="error", tag_field="type"):
    """Either way: the message with this id (or an unreadable one) was not done; the session goes on."""

    code: Text
    message: LongText
    re: MessageId | None = None


Message = (
    Hello
    | Welcome
    | PushSysinfo
    | PushRuntime
    | PushAppStatus
    | PushFileStatus
    | PushLicenseInfo
    | PushDeviceAttributes
    | PushLogonEvents
    | PushAssetEvents
    | PushSettings
    | PullSettings
    | SettingsMessage
    | Command
    | Connectors
    | Roots
    | Deregister
    | Ack
    | Result
    | Error
)
FROM_DEVICE: tuple[type[Struct], ...] = (
    PushSysinfo, PushRuntime, PushAppStatus, PushFileStatus, PushLicenseInfo, PushDeviceAttributes, PushLogonEvents,
    PushAssetEvents, PushSettings, PullSettings, Result, Ack, Error,
)  # fmt: skip
"""What a device may say after hello."""
FROM_SERVER: tuple[type[Struct], ...] = (SettingsMessage, Command, Connectors, Roots, Deregister, Ack, Error)
"""What a server may say after welcome."""
MESSAGE_TYPES: tuple[type[Struct], ...] = tuple(dict.fromkeys((Hello, Welcome, *FROM_DEVICE, *FROM_SERVER)))

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
