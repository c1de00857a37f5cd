# SPDX-License-Identifier: Apache-2.0
"""The server's roles of an OS 11 session: answer a device on TCP 30001, call one on TCP 30005 (G1).

Provenance: SIMULATED (wire/os11.py). Mirror: os11_device.py.

What only the registry knows is asked by an event and told by a call, at any later time before the greeting is too late:

    RegistrationAsked   accept(name, now)  or refuse(...)
    Greeted             admit(key, now), after `proves(key)`, or refuse(...)

Both events carry the device's hello as a message, so that it can be passed on like the hello of an OS 12 session as
soon as the verdict is given. What is acknowledged must be durable before it is told.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from umslab_protocol.errors import InvalidValueError, LocalProtocolError
from umslab_protocol.machines.os11 import LINGER_SECONDS, Os11Session
from umslab_protocol.machines.session import Received
from umslab_protocol.values.device_key import DeviceKey, parse_device_key
from umslab_protocol.values.unit_id import MacAddress, UnitId, parse_mac
from umslab_protocol.wire.close_codes import CloseCode
from umslab_protocol.wire.messages import FROM_DEVICE, VERSIONS, Welcome
from umslab_protocol.wire.os11 import Challenge, Contact, ContactRefusal, Proof, Register, Registered
from umslab_protocol.wire.os11_proof import Speaker, is_same, make_proof

if TYPE_CHECKING:
    from umslab_protocol.machines.session_server import SessionRules
    from umslab_protocol.wire.codec import SessionCodec
    from umslab_protocol.wire.messages import Hello
    from umslab_protocol.wire.os11 import Greeting


@dataclass(frozen=True, slots=True)
class Greeted(Received):
    """A device says who it is and has sent a proof: a verdict is due. `message` is its hello."""

    unit_id: UnitId
    push_port: int
    """Where it listens for its server; 0 for 30005."""


@dataclass(frozen=True, slots=True)
class RegistrationAsked(Received):
    """A device wants to be registered: a verdict is due. `message` is its hello."""

    unit_id: UnitId
    mac: MacAddress
    key: DeviceKey = field(repr=False)
    register: Register
    """What else it said; its certificate has not been looked at."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerSide:
    """What the server is in one session, whoever has called."""

    codec: SessionCodec
    rules: SessionRules
    server_name: str
    session_id: str
    nonce: bytes
    """32 bytes that nobody could guess."""


class _ServerRole(Os11Session):
    __slots__ = ("_side",)

    peer_may_send = FROM_DEVICE

    def __init__(self, side: ServerSide, *, linger: float | None, now: float) -> None:
        rules = side.rules
        super().__init__(
            codec=side.codec,
            nonce=side.nonce,
            max_message_bytes=rules.max_message_bytes,
            silent_after=rules.ping_after + rules.pong_within,
            greet_within=rules.hello_within,
            linger=linger,
            now=now,
        )
        self._side = side

    def _welcome(self, version: int) -> Welcome:
        """Say the rules of the session; there are no pings and no heartbeat, because it does not last."""
        return Welcome(
            version=version,
            server=self._side.server_name,
            session=self._side.session_id,
            pingSeconds=0.0,
            maxMessageBytes=self._side.rules.max_message_bytes,
            fileTransferPort=self._side.rules.file_transfer_port,
        )


class AnsweringServer(_ServerRole):
    """TCP 30001: a device has called."""

    __slots__ = ("_contact", "_proof", "_unit_id", "_version")

    def __init__(self, side: ServerSide, *, now: float) -> None:
        super().__init__(side, linger=None, now=now)
        self._contact: Contact | None = None
        self._proof: Proof | None = None
        self._unit_id: UnitId | None = None
        self._version = 0

    # The verdicts.

    def proves(self, key: DeviceKey) -> bool:
        """Tell whether the device that was `Greeted` holds this key."""
        if self._proof is None:
            return False
        return is_same(self._proof.proof, self._prove(key, Speaker.CALLING_DEVICE))

    def admit(self, key: DeviceKey, now: float) -> None:
        """Let the device that was `Greeted` in; raises `LocalProtocolError` when it does not hold this key.

        Does nothing when the peer has gone or the time for the greeting is over.
        """
        if not self.proves(key):
            raise LocalProtocolError("a device was to be admitted that has not proved its key")
        if self._deciding:
            proof = self._prove(key, Speaker.ANSWERING_SERVER)
            self._greet_with(Proof(proof=proof, welcome=self._welcome(self._version)))
            self._begin(now)

    def accept(self, name: str, now: float) -> None:
        """Tell a device that asked for registration that it is registered, under which name.

        Does nothing when the peer has gone or the time for the greeting is over.
        """
        if self._proof is not None or self._contact is not None:
            raise LocalProtocolError("a device was to be registered that did not ask for it")
        if self._deciding:
            self._greet_with(Registered(welcome=self._welcome(self._version), name=name))
            self._begin(now)

    # Inside.

    def _meet(self, message: Greeting, now: float) -> Received | None:
        if isinstance(message, Contact) and self._contact is None:
            self._challenge(message, now)
        elif isinstance(message, Register) and self._contact is None:
            return self._ask_registration(message, now)
        elif isinstance(message, Proof) and message.hello is not None and self._contact and self._unit_id:
            return self._ask_admission(self._contact, self._unit_id, message, message.hello, now)
        else:
            self._out_of_order(message, now)
        return None

    def _challenge(self, contact: Contact, now: float) -> None:
        unit_id = self._read_unit_id(contact.unitID, now)
        version = unit_id and self._choose_version(contact.versions, now)
        if version:
            self._contact, self._unit_id, self._version = contact, unit_id, version
            self._greet_with(Challenge(version=version, nonce=self._nonce))

    def _ask_admission(
        self, contact: Contact, unit_id: UnitId, proof: Proof, hello: Hello, now: float
    ) -> Received | None:
        if hello.unitID != unit_id:
            self.close(CloseCode.PROTOCOL_ERROR, "hello names another device than contact", now)
            return None
        self._proof = proof
        self._deciding = True
        return Greeted(hello, unit_id, contact.pushPort)

    def _ask_registration(self, register: Register, now: float) -> Received | None:
        unit_id = self._read_unit_id(register.hello.unitID, now)
        version = unit_id and self._choose_version(register.hello.versions, now)
        if not unit_id or not version:
            return None
        try:
            mac, key = parse_mac(register.mac), parse_device_key(register.key)
        except InvalidValueError as error:
            self.refuse(ContactRefusal.REFUSED, str(error), now)
            return None
        self._version = version
        self._deciding = True
        return RegistrationAsked(register.hello, unit_id, mac, key, register)

    def _prove(self, key: DeviceKey, speaker: Speaker) -> str:
        if self._contact is None or self._unit_id is None:
            raise LocalProtocolError("there is nothing to prove yet")
        return make_proof(key, speaker, self._unit_id, caller=self._contact.nonce, called=self._nonce)


class CallingServer(_ServerRole):
    """TCP 30005: this server has called a device whose key it knows."""

    __slots__ = ("_called_nonce", "_key", "_unit_id")

    def __init__(
        self, side: ServerSide, *, unit_id: UnitId, key: DeviceKey, now: float, linger: float = LINGER_SECONDS
    ) -> None:
        super().__init__(side, linger=linger, now=now)
        self._unit_id = unit_id
        self._key = key
        self._called_nonce: str | None = None
        self._greet_with(Contact(versions=list(VERSIONS), unitID=unit_id, nonce=self._nonce))

    def _meet(self, message: Greeting, now: float) -> Received | None:
        if isinstance(message, Challenge) and self._called_nonce is None:
            self._answer_challenge(message, now)
        elif isinstance(message, Proof) and message.hello is not None and self._called_nonce is not None:
            return self._check(message, message.hello, self._called_nonce, now)
        else:
            self._out_of_order(message, now)
        return None

    def _answer_challenge(self, challenge: Challenge, now: float) -> None:
        if challenge.version not in VERSIONS:
            self.close(CloseCode.VERSION, "the device chose a version that was not offered", now)
            return
        self._called_nonce = challenge.nonce
        proof = self._prove(Speaker.CALLING_SERVER, challenge.nonce)
        self._greet_with(Proof(proof=proof, welcome=self._welcome(challenge.version)))

    def _check(self, message: Proof, hello: Hello, called: str, now: float) -> Received | None:
        if not is_same(message.proof, self._prove(Speaker.ANSWERING_DEVICE, called)):
            self.close(CloseCode.REFUSED, "the device has not proved its key", now)
        elif hello.unitID != self._unit_id:
            self.close(CloseCode.PROTOCOL_ERROR, "another device answered than was called", now)
        else:
            self._begin(now)
            return Received(hello)
        return None

    def _prove(self, speaker: Speaker, called: str) -> str:
        return make_proof(self._key, speaker, self._unit_id, caller=self._nonce, called=called)
