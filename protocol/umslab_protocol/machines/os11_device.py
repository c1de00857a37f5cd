# SPDX-License-Identifier: Apache-2.0
"""The device's roles of an OS 11 session: call the UMS on TCP 30001, answer it on TCP 30005 (G1).

Provenance: SIMULATED (wire/os11.py). Mirror: os11_server.py. A welcome is told like that of an OS 12 session. What the
peer refused is in `refused` when the session is over.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from umslab_protocol.errors import LocalProtocolError
from umslab_protocol.machines.os11 import LINGER_SECONDS, Os11Session
from umslab_protocol.machines.session import Received
from umslab_protocol.machines.session_device import WELCOME_WITHIN
from umslab_protocol.values.unit_id import UnitId
from umslab_protocol.wire.close_codes import CloseCode
from umslab_protocol.wire.messages import FROM_SERVER, MAX_MESSAGE_BYTES, VERSIONS
from umslab_protocol.wire.os11 import Challenge, Contact, ContactRefusal, Proof, Register, Registered
from umslab_protocol.wire.os11_proof import Speaker, is_same, make_proof

if TYPE_CHECKING:
    from umslab_protocol.values.device_key import DeviceKey
    from umslab_protocol.wire.codec import SessionCodec
    from umslab_protocol.wire.messages import Hello, Welcome
    from umslab_protocol.wire.os11 import Greeting

SILENT_AFTER = 150.0
"""Seconds without a word of the server after which a device gives up, as long as an OS 11 server waits (I7)."""


@dataclass(frozen=True, slots=True)
class RegistrationDone(Received):
    """The server has registered this device: its certificate is the pin from now on (G8). `message` is the welcome."""

    name: str
    """What the server calls it."""


class _DeviceRole(Os11Session):
    __slots__ = ("_hello", "_key", "_unit_id")

    peer_may_send = FROM_SERVER

    def __init__(
        self, *, codec: SessionCodec, hello: Hello, key: DeviceKey, nonce: bytes, linger: float | None, now: float
    ) -> None:
        super().__init__(
            codec=codec,
            nonce=nonce,
            max_message_bytes=MAX_MESSAGE_BYTES,
            silent_after=SILENT_AFTER,
            greet_within=WELCOME_WITHIN,
            linger=linger,
            now=now,
        )
        self._hello = hello
        self._unit_id = UnitId(hello.unitID)
        self._key = key

    def _accept(self, welcome: Welcome, now: float) -> bool:
        if welcome.version not in VERSIONS:
            self.close(CloseCode.PROTOCOL_ERROR, "expected a welcome in a version we offered", now)
            return False
        self._begin(now)
        return True


class CallingDevice(_DeviceRole):
    """TCP 30001: this device has called its server; with `register` it is one that is not registered yet."""

    __slots__ = ("_called_nonce", "_register")

    def __init__(
        self,
        *,
        codec: SessionCodec,
        hello: Hello,
        key: DeviceKey,
        nonce: bytes,
        now: float,
        register: Register | None = None,
        push_port: int = 0,
        linger: float = LINGER_SECONDS,
    ) -> None:
        if register is not None and (register.hello != hello or register.key != key.text):
            raise LocalProtocolError("a registration names another device or key than the session")
        super().__init__(codec=codec, hello=hello, key=key, nonce=nonce, linger=linger, now=now)
        self._called_nonce: str | None = None
        self._register = register
        self._greet_with(
            register or Contact(versions=hello.versions, unitID=hello.unitID, nonce=self._nonce, pushPort=push_port)
        )

    def _meet(self, message: Greeting, now: float) -> Received | None:
        if self._register is not None:
            if isinstance(message, Registered):
                return RegistrationDone(message.welcome, message.name) if self._accept(message.welcome, now) else None
            self._out_of_order(message, now)
        elif isinstance(message, Challenge) and self._called_nonce is None:
            self._answer_challenge(message, now)
        elif isinstance(message, Proof) and message.welcome is not None and self._called_nonce is not None:
            return self._check(message, message.welcome, self._called_nonce, now)
        else:
            self._out_of_order(message, now)
        return None

    def _answer_challenge(self, challenge: Challenge, now: float) -> None:
        if challenge.version not in self._hello.versions:
            self.close(CloseCode.VERSION, "the server chose a version that was not offered", now)
            return
        self._called_nonce = challenge.nonce
        self._greet_with(Proof(proof=self._prove(Speaker.CALLING_DEVICE, challenge.nonce), hello=self._hello))

    def _check(self, message: Proof, welcome: Welcome, called: str, now: float) -> Received | None:
        if not is_same(message.proof, self._prove(Speaker.ANSWERING_SERVER, called)):
            self.close(CloseCode.REFUSED, "the server has not proved this device's key", now)
            return None
        return Received(welcome) if self._accept(welcome, now) else None

    def _prove(self, speaker: Speaker, called: str) -> str:
        return make_proof(self._key, speaker, self._unit_id, caller=self._nonce, called=called)


class AnsweringDevice(_DeviceRole):
    """TCP 30005: somebody has called, who must prove that it is this device's server."""

    __slots__ = ("_contact",)

    def __init__(self, *, codec: SessionCodec, hello: Hello, key: DeviceKey, nonce: bytes, now: float) -> None:
        super().__init__(codec=codec, hello=hello, key=key, nonce=nonce, linger=None, now=now)
        self._contact: Contact | None = None

    def _meet(self, message: Greeting, now: float) -> Received | None:
        if isinstance(message, Contact) and self._contact is None:
            self._challenge(message, now)
        elif isinstance(message, Proof) and message.welcome is not None and self._contact is not None:
            return self._check(message, message.welcome, self._contact.nonce, now)
        else:
            self._out_of_order(message, now)
        return None

    def _challenge(self, contact: Contact, now: float) -> None:
        if contact.unitID != self._unit_id:
            self.refuse(ContactRefusal.UNKNOWN_DEVICE, "another device answers here", now)
        elif version := self._choose_version(contact.versions, now):
            self._contact = contact
            self._greet_with(Challenge(version=version, nonce=self._nonce))

    def _check(self, message: Proof, welcome: Welcome, caller: str, now: float) -> Received | None:
        if not is_same(message.proof, self._prove(Speaker.CALLING_SERVER, caller)):
            self.refuse(ContactRefusal.BAD_PROOF, "the caller has not proved this device's key", now)
            return None
        if not self._accept(welcome, now):
            return None
        self._greet_with(Proof(proof=self._prove(Speaker.ANSWERING_DEVICE, caller), hello=self._hello))
        return Received(welcome)

    def _prove(self, speaker: Speaker, caller: str) -> str:
        return make_proof(self._key, speaker, self._unit_id, caller=caller, called=self._nonce)
