# SPDX-License-Identifier: Apache-2.0
"""Both sides of an OS 11 session, joined back to back on either port; the verdicts are given by the test."""

from __future__ import annotations

from typing import TypeVar

from tests.protocol.machines.pair import START, UNIT_ID, Pair
from tests.support.greeting import hello
from umslab_protocol.machines.os11_device import AnsweringDevice, CallingDevice
from umslab_protocol.machines.os11_server import AnsweringServer, CallingServer, ServerSide
from umslab_protocol.machines.session_server import SessionRules
from umslab_protocol.values.device_key import DeviceKey
from umslab_protocol.values.unit_id import UnitId
from umslab_protocol.wire.codec import JsonCodec
from umslab_protocol.wire.os11 import Register

KEY = DeviceKey(bytes(range(32)))
OTHER_KEY = DeviceKey(bytes(32))
HELLO = hello(UNIT_ID)
REGISTER = Register(hello=HELLO, mac=UNIT_ID, key=KEY.text, certificate="PEM", user="ann", password="secret")
RULES = SessionRules(max_message_bytes=64 * 1024)
DEVICE_NONCE, SERVER_NONCE = b"d" * 32, b"s" * 32

P = TypeVar("P", bound=Pair)


def calling_device(
    *, register: Register | None = None, key: DeviceKey = KEY, nonce: bytes = DEVICE_NONCE
) -> CallingDevice:
    """A device that calls TCP 30001."""
    return CallingDevice(
        codec=JsonCodec(), hello=HELLO, key=key, nonce=nonce, register=register, push_port=30_999, now=START
    )


def answering_device(*, key: DeviceKey = KEY, nonce: bytes = DEVICE_NONCE) -> AnsweringDevice:
    """A device that is called on TCP 30005."""
    return AnsweringDevice(codec=JsonCodec(), hello=HELLO, key=key, nonce=nonce, now=START)


def answering_server(nonce: bytes = SERVER_NONCE) -> AnsweringServer:
    """A server that is called on TCP 30001."""
    return AnsweringServer(_side(nonce), now=START)


def calling_server(*, key: DeviceKey = KEY, unit_id: str = UNIT_ID, nonce: bytes = SERVER_NONCE) -> CallingServer:
    """A server that calls TCP 30005."""
    return CallingServer(_side(nonce), unit_id=UnitId(unit_id), key=key, now=START)


def _side(nonce: bytes) -> ServerSide:
    return ServerSide(codec=JsonCodec(), rules=RULES, server_name="ums-1", session_id="s-1", nonce=nonce)


class ContactPair(Pair):
    """TCP 30001: the device calls."""

    device: CallingDevice
    server: AnsweringServer

    def __init__(self, device: CallingDevice | None = None, server: AnsweringServer | None = None) -> None:
        self.now = START
        self.device = device or calling_device()
        self.server = server or answering_server()
        self.device_saw = []
        self.server_saw = []


class PushPair(Pair):
    """TCP 30005: the server calls."""

    device: AnsweringDevice
    server: CallingServer

    def __init__(self, device: AnsweringDevice | None = None, server: CallingServer | None = None) -> None:
        self.now = START
        self.device = device or answering_device()
        self.server = server or calling_server()
        self.device_saw = []
        self.server_saw = []


def contacted() -> ContactPair:
    """Both past the greeting on 30001, with nothing in their lists."""
    pair = ContactPair()
    pair.carry()
    pair.server.admit(KEY, START)
    return _begun(pair)


def registered() -> ContactPair:
    """The same after a registration."""
    pair = ContactPair(calling_device(register=REGISTER))
    pair.carry()
    pair.server.accept("Kiosk", START)
    return _begun(pair)


def pushed() -> PushPair:
    """Both past the greeting on 30005, with nothing in their lists."""
    return _begun(PushPair())


def _begun(pair: P) -> P:
    pair.carry()
    assert pair.device.is_open
    assert pair.server.is_open
    pair.device_saw.clear()
    pair.server_saw.clear()
    return pair
