# SPDX-License-Identifier: Apache-2.0
"""How an OS 11 device and its UMS greet each other on TCP 30001 and 30005, before there is a session.

Provenance: SIMULATED. Documented are the ports, TLS 1.2, who calls whom and for what (G1, T1), the pin and the device
key (G8, G9) and manual registration with a UMS user (A9); framing, encoding and order of the exchange are not (G19,
NP3-NP5). `docs/protocol.md` describes the format byte by byte; this file and os11_proof.py are its source.

Each message is one frame (machines/frames.py) holding one JSON object with a `type`. Both sides prove that they hold
the device's key, whoever has called:

    caller  contact {versions, unitID, nonce}
    called  challenge {version, nonce}
    caller  proof {proof, hello or welcome}
    called  proof {proof, welcome or hello}

The proof of a device carries its `hello`, the proof of a server its `welcome`, the messages of an OS 12 session; what
follows is such a session. A new device says `register` instead and gets `registered`. Any step may be answered with
`refused`, which is followed by the end.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated

import msgspec
from msgspec import Meta, Struct

from umslab_protocol.wire.inventory import LongText, Text
from umslab_protocol.wire.messages import Hello, UnreadableMessageError, Welcome
from umslab_protocol.wire.orders import Sha256

NONCE_BYTES = 32
MAX_GREETING_BYTES = 16 * 1024
"""Largest frame before the greeting is done; a registration with an RSA 4096 certificate has a fifth of it."""

Nonce = Sha256  # 32 bytes as 64 lower-case hexadecimal digits too
KeyText = Annotated[str, Meta(pattern=r"^[A-Za-z0-9+/]{43}=$(?!\n)")]
PortNumber = Annotated[int, Meta(ge=0, le=65_535)]
Versions = Annotated[list[int], Meta(min_length=1, max_length=16)]


class ContactRefusal(StrEnum):
    """Why one side does not go on."""

    UNKNOWN_DEVICE = "unknown-device"
    """The registry does not know the device, or the called device has another unit ID."""
    BAD_PROOF = "bad-proof"
    """The peer does not hold the device's key."""
    CREDENTIALS = "credentials"
    """Registration: user, password or token are wrong (A9)."""
    REFUSED = "refused"
    """Not now and not later; the text says why, for example that the device is in the recycle bin."""
    VERSION = "version"
    """No version in common."""
    BUSY = "busy"
    """Not now: `retryAfter` says when to come back."""


class Contact(Struct, frozen=True, kw_only=True, tag="contact", tag_field="type", omit_defaults=True):
    """Either way, by the caller, first: a device says who it is, a server whom it has called."""

    versions: Versions
    unitID: Text  # noqa: N815
    nonce: Nonce
    pushPort: PortNumber = 0  # noqa: N815
    """From a device: where it listens for its server; 0 for 30005."""


class Challenge(Struct, frozen=True, kw_only=True, tag="challenge", tag_field="type"):
    """Either way, answer to contact: the chosen version, and what the caller is to prove its key over."""

    version: int
    nonce: Nonce


class Proof(Struct, frozen=True, kw_only=True, tag="proof", tag_field="type", omit_defaults=True):
    """Either way, by the caller, then by the called: the key is held; see os11_proof.py for what is hashed."""

    proof: Sha256
    hello: Hello | None = None
    """From a device."""
    welcome: Welcome | None = None
    """From a server."""


class Register(Struct, frozen=True, kw_only=True, tag="register", tag_field="type", omit_defaults=True):
    """Device to server, first: take me in; with user and password (A9), a token (A6), or as one that was imported."""

    hello: Hello
    mac: Text
    key: KeyText
    """The device's key from now on, 32 bytes in base64."""
    certificate: Annotated[str, Meta(max_length=8 * 1024)]
    """What the device presents when the server calls it, in PEM; the server takes no other (G10, G12)."""
    pushPort: PortNumber = 0  # noqa: N815
    user: Text = ""
    password: Text = ""
    token: Text = ""
    name: Text = ""
    """The name it would like to have."""
    structureTag: Text = ""  # noqa: N815
    directory: LongText = ""
    """Path of the directory it would like to be in."""

    def __repr__(self) -> str:
        """Show nothing that is secret."""
        return f"Register(unitID={self.hello.unitID!r}, ...)"


class Registered(Struct, frozen=True, kw_only=True, tag="registered", tag_field="type", omit_defaults=True):
    """Server to device, answer to register: you are in the registry, durably; the session is open."""

    welcome: Welcome
    name: Text = ""
    """The name it has."""


class Refused(Struct, frozen=True, kw_only=True, tag="refused", tag_field="type", omit_defaults=True):
    """Either way, in place of an answer: no, and why; a goodbye follows."""

    refusal: ContactRefusal
    message: LongText
    retryAfter: Annotated[float, Meta(ge=0)] | None = None  # noqa: N815
    """Seconds."""


Greeting = Contact | Challenge | Proof | Register | Registered | Refused
GREETING_TYPES: tuple[type[Struct], ...] = (Contact, Challenge, Proof, Register, Registered, Refused)

_encoder = msgspec.json.Encoder()
_decoder: msgspec.json.Decoder[Greeting] = msgspec.json.Decoder(Greeting)


def encode_greeting(message: Greeting) -> bytes:
    """Write one message of the greeting as the body of a frame."""
    return _encoder.encode(message)


def decode_greeting(payload: bytes) -> Greeting:
    """Read one message of the greeting; raises `UnreadableMessageError`. The caller bounds the length."""
    try:
        return _decoder.decode(payload)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        # The text of msgspec names a path and a type, never a value: no key or password gets into it.
        raise UnreadableMessageError(f"no message of a greeting: {str(error)[:300]}", code="invalid-message") from None
