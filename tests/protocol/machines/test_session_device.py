# SPDX-License-Identifier: Apache-2.0
"""Tests of umslab_protocol.machines.session_device: the device's role against a server made of bytes."""

from __future__ import annotations

import json
from typing import Any

import msgspec
import pytest

from tests.protocol.machines.pair import START, UNIT_ID, drain
from tests.protocol.machines.peer import PING, TEXT, read_close, read_frames, write_frame
from tests.protocol.wire.instances import smallest, tag
from tests.support.greeting import hello
from umslab_protocol.machines.carrier import Closed
from umslab_protocol.machines.session import Received
from umslab_protocol.machines.session_device import PATIENCE, WELCOME_WITHIN, DeviceSession
from umslab_protocol.wire.close_codes import CloseCode
from umslab_protocol.wire.codec import JsonCodec
from umslab_protocol.wire.inventory import DeviceInfo
from umslab_protocol.wire.messages import (
    FROM_SERVER,
    MAX_MESSAGE_BYTES,
    MESSAGE_TYPES,
    Ack,
    Deregister,
    Error,
    Message,
    PushSysinfo,
    Welcome,
    decode_message,
    encode_message,
)

HELLO = hello(UNIT_ID)
WELCOME = Welcome(version=1, server="ums-1", session="s-1", pingSeconds=120.0, maxMessageBytes=MAX_MESSAGE_BYTES)
INFO = PushSysinfo(id=4, info=DeviceInfo(unitID="u", mac="m", firmwareVersion="f", productId="p"))


def session() -> DeviceSession:
    """Return a session that has just been opened."""
    return DeviceSession(codec=JsonCodec(), hello=hello(UNIT_ID), now=START)


def welcomed(ping_seconds: float = 120.0) -> DeviceSession:
    """Return a session past the greeting, with nothing to say."""
    device = session()
    tell(device, msgspec.structs.replace(WELCOME, pingSeconds=ping_seconds))
    device.output()
    return device


def tell(device: DeviceSession, *messages: Message) -> list[Received | Closed]:
    """Send messages as a server; return what the user sees."""
    for message in messages:
        device.receive(write_frame(TEXT, encode_message(message), masked=False), START)
    return drain(device, START)


def read(document: dict[str, Any]) -> Message:
    """A message out of its JSON object."""
    return decode_message(json.dumps(document).encode())


def said(device: DeviceSession) -> list[Message]:
    """Read the messages that the device has put out; a close frame is left out."""
    return [decode_message(frame.payload) for frame in read_frames(device.output()) if frame.opcode == TEXT]


def test_the_device_speaks_first() -> None:
    """Hello by itself, masked; the session is not open yet."""
    device = session()
    (frame,) = read_frames(device.output())

    assert HELLO == decode_message(frame.payload)
    assert frame.masked
    assert not device.is_open


def test_welcome() -> None:
    """It opens the session and is shown to the user."""
    device = session()

    assert [Received(WELCOME)] == tell(device, WELCOME)
    assert device.is_open


@pytest.mark.parametrize(
    "message",
    [
        Ack(re=1),
        HELLO,
        Deregister(id=1),
        Error(code="c", message="m"),
        msgspec.structs.replace(WELCOME, version=2),
        msgspec.structs.replace(WELCOME, version=0),
    ],
)
def test_anything_but_a_fitting_welcome(message: Message) -> None:
    """Another message, or a version that was not offered, closes the session."""
    device = session()
    device.output()

    assert [] == tell(device, message, WELCOME)
    assert (1002, "expected a welcome in a version we offered") == read_close(device.output())
    assert not device.is_open


@pytest.mark.parametrize(
    ("message", "kind", "re"), [(WELCOME, "welcome", None), (HELLO, "hello", None), (INFO, "pushsysinfo", 4)]
)
def test_out_of_order(message: Message, kind: str, re: int | None) -> None:
    """A second welcome, or what only a device says, is answered; the session goes on."""
    device = welcomed()

    assert [Received(Ack(re=1))] == tell(device, message, Ack(re=1))
    assert [Error(code="out-of-order", message=f"{kind} is not expected here", re=re)] == said(device)
    assert device.is_open


MISPLACED = [kind for kind in MESSAGE_TYPES if kind not in FROM_SERVER]


@pytest.mark.parametrize("kind", MISPLACED, ids=tag)
def test_what_a_server_may_not_say(kind: type[msgspec.Struct]) -> None:
    """Every message of the other direction is refused by name, and nobody sees it."""
    device = welcomed()
    message = read(smallest(kind))

    assert [] == tell(device, message)
    assert [
        Error(code="out-of-order", message=f"{tag(kind)} is not expected here", re=getattr(message, "id", None))
    ] == said(device)


@pytest.mark.parametrize("kind", FROM_SERVER, ids=tag)
def test_what_a_server_may_say(kind: type[msgspec.Struct]) -> None:
    """Every message of its own direction is seen, without an answer from the session itself."""
    device = welcomed()
    message = read(smallest(kind))

    assert [Received(message)] == tell(device, message)
    assert [] == said(device)


def test_greeting_timeout() -> None:
    """A server that does not answer hello is left."""
    device = session()
    device.output()

    assert START + WELCOME_WITHIN == device.deadline()

    device.on_deadline(START + 29.999)

    assert b"" == device.output()

    device.on_deadline(START + 30)

    assert (4008, "the greeting did not come in time") == read_close(device.output())
    assert START + 35 == device.deadline()


def test_silence_after_the_greeting() -> None:
    """Two of the server's ping intervals without a byte, and the device closes."""
    device = welcomed()

    assert START + PATIENCE * 120 == device.deadline()

    device.on_deadline(START + 239.999)

    assert b"" == device.output()

    device.on_deadline(START + 240)

    assert (4008, "the server has fallen silent") == read_close(device.output())
    assert START + 245 == device.deadline()

    device.on_deadline(START + 245)

    assert [Closed(CloseCode.SILENT, "the server has fallen silent", by_peer=False)] == drain(device, START)
    assert device.done


def test_a_ping_is_a_sign_of_life() -> None:
    """Whatever the server says puts the end off."""
    device = welcomed()
    device.receive(write_frame(PING, masked=False), START + 200)

    assert START + 440 == device.deadline()


def test_very_short_intervals() -> None:
    """A second of silence is always borne."""
    assert START + 1 == welcomed(0.001).deadline()


@pytest.mark.parametrize("seconds", [0.0, -1.0])
def test_a_server_that_does_not_ping(seconds: float) -> None:
    """Then silence means nothing."""
    device = welcomed(seconds)
    device.on_deadline(START + 1e9)

    assert None is device.deadline()
    assert b"" == device.output()
    assert device.is_open
