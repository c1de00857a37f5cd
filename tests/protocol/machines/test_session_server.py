# SPDX-License-Identifier: Apache-2.0
"""Tests of umslab_protocol.machines.session_server: the server's role against a device made of bytes."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from tests.protocol.machines.pair import START, UNIT_ID, drain
from tests.protocol.machines.peer import PING, TEXT, read_close, read_frames, write_frame
from tests.protocol.wire.instances import smallest, tag
from tests.support.greeting import hello
from umslab_protocol.machines.carrier import Closed
from umslab_protocol.machines.session import Received
from umslab_protocol.machines.session_server import ServerSession, SessionRules
from umslab_protocol.wire.close_codes import CloseCode
from umslab_protocol.wire.codec import JsonCodec
from umslab_protocol.wire.inventory import DeviceInfo
from umslab_protocol.wire.messages import (
    DEFAULT_PING_SECONDS,
    FROM_DEVICE,
    MAX_MESSAGE_BYTES,
    MESSAGE_TYPES,
    Ack,
    Deregister,
    Error,
    Heartbeat,
    Hello,
    Message,
    PushSysinfo,
    Welcome,
    decode_message,
    encode_message,
)

if TYPE_CHECKING:
    from msgspec import Struct

HELLO = hello(UNIT_ID)
WELCOME = Welcome(version=1, server="ums-1", session="s-1", pingSeconds=120.0, maxMessageBytes=MAX_MESSAGE_BYTES)
INFO = PushSysinfo(id=1, info=DeviceInfo(unitID="u", mac="m", firmwareVersion="f", productId="p"))


def session(rules: SessionRules | None = None) -> ServerSession:
    """Return a session that nobody has greeted yet."""
    return ServerSession(
        codec=JsonCodec(), rules=rules or SessionRules(), server_name="ums-1", session_id="s-1", now=START
    )


def tell(server: ServerSession, *messages: Message) -> list[Received | Closed]:
    """Send messages as a device; return what the user sees."""
    for message in messages:
        server.receive(write_frame(TEXT, encode_message(message), masked=True), START)
    return drain(server, START)


def read(document: dict[str, Any]) -> Message:
    """A message out of its JSON object."""
    return decode_message(json.dumps(document).encode())


def said(server: ServerSession) -> list[Message]:
    """Read the messages that the server has put out; a close frame is left out."""
    return [decode_message(frame.payload) for frame in read_frames(server.output()) if frame.opcode == TEXT]


def test_default_rules() -> None:
    """Ten seconds for hello; pings as OS 11 and ICG have them (I7)."""
    rules = SessionRules()

    assert (10.0, 120.0, 30.0, 256 * 1024) == (
        rules.hello_within,
        rules.ping_after,
        rules.pong_within,
        rules.max_message_bytes,
    )
    assert rules.ping_after == DEFAULT_PING_SECONDS


def test_the_server_waits() -> None:
    """It says nothing first."""
    server = session()

    assert b"" == server.output()
    assert not server.is_open
    assert not server.done


def test_hello() -> None:
    """Hello is answered with welcome and shown to the user."""
    server = session()

    assert [Received(HELLO)] == tell(server, HELLO)
    assert [WELCOME] == said(server)
    assert server.is_open


def test_the_best_common_version() -> None:
    """Whatever else the device offers."""
    server = session()
    tell(server, Hello(versions=[7, 1, -3, 2**80], unitID="u", firmwareVersion="f"))

    assert [WELCOME] == said(server)


def test_no_common_version() -> None:
    """The close code says so and the reason names what is spoken here."""
    server = session()

    assert [] == tell(server, Hello(versions=[2, 3], unitID="u", firmwareVersion="f"))
    assert (4009, "no version in common: this server speaks 1") == read_close(server.output())
    assert not server.is_open


@pytest.mark.parametrize("message", [Ack(re=1), INFO, WELCOME, Deregister(id=1), Error(code="c", message="m")])
def test_a_session_begins_with_hello(message: Message) -> None:
    """Anything else is told and closed."""
    server = session()

    assert [] == tell(server, message, HELLO)

    output = server.output()
    error = decode_message(read_frames(output)[0].payload)

    assert isinstance(error, Error)
    assert ("out-of-order", "a session begins with hello") == (error.code, error.message)
    assert getattr(message, "id", None) == error.re
    assert (1002, "a session begins with hello") == read_close(output)
    assert not server.is_open


def test_an_unreadable_greeting_may_be_repeated() -> None:
    """It is answered like any bad message; hello may still come in time."""
    server = session()
    server.receive(write_frame(TEXT, b"HELO", masked=True), START)

    assert [Received(HELLO)] == tell(server, HELLO)
    assert [Error, Welcome] == [type(message) for message in said(server)]


@pytest.mark.parametrize(
    ("message", "kind", "re"), [(HELLO, "hello", None), (WELCOME, "welcome", None), (Deregister(id=5), "deregister", 5)]
)
def test_out_of_order(message: Message, kind: str, re: int | None) -> None:
    """A second hello, or what only a server says, is answered; the session goes on."""
    server = session()
    tell(server, HELLO)
    said(server)

    assert [Received(INFO)] == tell(server, message, INFO)
    assert [Error(code="out-of-order", message=f"{kind} is not expected here", re=re)] == said(server)
    assert server.is_open


MISPLACED = [kind for kind in MESSAGE_TYPES if kind not in FROM_DEVICE]


@pytest.mark.parametrize("kind", MISPLACED, ids=tag)
def test_what_a_device_may_not_say(kind: type[Struct]) -> None:
    """Every message of the other direction is refused by name, and nobody sees it."""
    server = session()
    tell(server, HELLO)
    said(server)
    message = read(smallest(kind))

    assert [] == tell(server, message)
    assert [
        Error(code="out-of-order", message=f"{tag(kind)} is not expected here", re=getattr(message, "id", None))
    ] == said(server)


@pytest.mark.parametrize("kind", FROM_DEVICE, ids=tag)
def test_what_a_device_may_say(kind: type[Struct]) -> None:
    """Every message of its own direction is seen, without an answer from the session itself."""
    server = session()
    tell(server, HELLO)
    said(server)
    message = read(smallest(kind))

    assert [Received(message)] == tell(server, message)
    assert [] == said(server)


def test_heartbeat_rules_are_announced() -> None:
    """In welcome, when there are any (section 9 of the facts)."""
    server = session(SessionRules(heartbeat=Heartbeat(intervalSeconds=86_400.0, offsetSeconds=600.0)))
    tell(server, HELLO)
    (welcome,) = said(server)

    assert isinstance(welcome, Welcome)
    assert Heartbeat(intervalSeconds=86_400.0, offsetSeconds=600.0) == welcome.heartbeat


def test_greeting_timeout() -> None:
    """Silence until `hello_within` closes with 4008; then the goodbye has its own deadline."""
    server = session()

    assert START + 10 == server.deadline()

    server.on_deadline(START + 9.999)

    assert b"" == server.output()

    server.on_deadline(START + 10)

    assert (4008, "the greeting did not come in time") == read_close(server.output())
    assert START + 15 == server.deadline()

    server.on_deadline(START + 15)

    assert [Closed(CloseCode.SILENT, "the greeting did not come in time", by_peer=False)] == drain(server, START)
    assert server.done
    assert None is server.deadline()


def test_chatter_does_not_put_the_greeting_off() -> None:
    """Pings and half frames are no hello."""
    server = session()
    server.receive(write_frame(PING, masked=True) + b"\x81", START + 9)
    server.output()

    assert START + 10 == server.deadline()


def test_a_late_hello_is_not_heard() -> None:
    """Once the goodbye is said."""
    server = session()
    server.on_deadline(START + 10)
    server.output()

    assert [] == tell(server, HELLO)
    assert b"" == server.output()


def test_a_ping_may_come_before_the_greeting_is_late() -> None:
    """With rules that are impatient the other way round, the earlier deadline counts."""
    server = session(SessionRules(hello_within=60.0, ping_after=5.0, pong_within=1.0))

    assert START + 5 == server.deadline()

    server.on_deadline(START + 5)

    assert [PING] == [frame.opcode for frame in read_frames(server.output())]
    assert START + 6 == server.deadline()


def test_a_silent_device_is_pinged_and_given_up() -> None:
    """After the greeting only silence counts."""
    server = session()
    tell(server, HELLO)
    server.output()

    assert START + 120 == server.deadline()

    server.on_deadline(START + 120)

    assert [PING] == [frame.opcode for frame in read_frames(server.output())]

    server.on_deadline(START + 150)

    assert (4008, "no sign of life") == read_close(server.output())
    assert [Closed(CloseCode.SILENT, "no sign of life", by_peer=False)] == drain(server, START)
    assert server.done
