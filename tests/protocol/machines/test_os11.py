# SPDX-License-Identifier: Apache-2.0
"""Tests of umslab_protocol.machines.os11: both roles of both ports back to back (os11_pair.py)."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.protocol.machines.os11_pair import (
    HELLO,
    KEY,
    REGISTER,
    RULES,
    ContactPair,
    PushPair,
    answering_server,
    calling_device,
    contacted,
    pushed,
    registered,
)
from tests.protocol.machines.pair import START, UNIT_ID, drain
from umslab_protocol.errors import LocalProtocolError
from umslab_protocol.machines.carrier import Closed
from umslab_protocol.machines.os11 import LINGER_SECONDS, MAX_OPEN
from umslab_protocol.machines.os11_device import RegistrationDone
from umslab_protocol.machines.os11_server import Greeted, RegistrationAsked
from umslab_protocol.machines.session import MAX_BAD_MESSAGES, Received
from umslab_protocol.values.unit_id import MacAddress, UnitId
from umslab_protocol.wire.close_codes import CloseCode
from umslab_protocol.wire.inventory import DeviceInfo
from umslab_protocol.wire.messages import Ack, Command, PullSettings, PushSysinfo, Result, SettingsMessage, Welcome
from umslab_protocol.wire.orders import CommandName, ResultState
from umslab_protocol.wire.os11 import MAX_GREETING_BYTES, ContactRefusal

from .framing import write_frame

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.protocol.machines.pair import Pair

WELCOME = Welcome(version=1, server="ums-1", session="s-1", pingSeconds=0.0, maxMessageBytes=RULES.max_message_bytes)

steps = pytest.mark.parametrize("step", [None, 1, 7], ids=lambda step: f"by {step or 'all'}")
begun = pytest.mark.parametrize("begin", [contacted, registered, pushed])
called_by_device = pytest.mark.parametrize("begin", [contacted, registered])


def sysinfo(number: int) -> PushSysinfo:
    """What a device says of itself."""
    return PushSysinfo(
        id=number, info=DeviceInfo(unitID=UNIT_ID, mac=UNIT_ID, firmwareVersion="11.10.210", productId="UD3")
    )


# Greetings.


@steps
def test_contact(step: int | None) -> None:
    """The device calls; the registry's verdict is awaited; both see hello and welcome as on OS 12."""
    pair = ContactPair()
    pair.carry(step)

    assert [Greeted(HELLO, UnitId(UNIT_ID), 30_999)] == pair.server_saw
    assert [] == pair.device_saw
    assert not pair.server.is_open
    assert pair.server.proves(KEY)

    pair.server.admit(KEY, START)
    pair.carry(step)

    assert [Received(WELCOME)] == pair.device_saw
    assert pair.device.is_open
    assert pair.server.is_open


@steps
def test_registration(step: int | None) -> None:
    """The key goes to the server, the verdict comes back, and the session is open."""
    pair = ContactPair(calling_device(register=REGISTER))
    pair.carry(step)

    assert [RegistrationAsked(HELLO, UnitId(UNIT_ID), MacAddress(UNIT_ID), KEY, REGISTER)] == pair.server_saw

    pair.server.accept("Kiosk", START)
    pair.carry(step)

    assert [RegistrationDone(WELCOME, "Kiosk")] == pair.device_saw
    assert pair.device.is_open
    assert pair.server.is_open


@steps
def test_push(step: int | None) -> None:
    """The server calls; both prove the key; hello and welcome are seen as on OS 12."""
    pair = PushPair()
    pair.carry(step)

    assert [Received(HELLO)] == pair.server_saw
    assert [Received(WELCOME)] == pair.device_saw
    assert pair.device.is_open
    assert pair.server.is_open


@begun
def test_a_whole_session(begin: Callable[[], Pair]) -> None:
    """Reports, settings and commands run on either port as on the WebSocket."""
    pair = begin()
    pair.device.send(sysinfo(1))
    pair.device.send(PullSettings(id=2))
    pair.server.send(Command(id=1, execID="x", command=CommandName.REBOOT))
    pair.carry()
    pair.server.send(Ack(re=1))
    pair.server.send(SettingsMessage(id=2, re=2, version=1, digest="d", settings={"a.b": "x" * 4000}))
    pair.device.send(Result(re=1, execID="x", state=ResultState.SUCCESS))
    pair.carry()
    pair.device.send(Ack(re=2))
    pair.carry()

    assert ["PushSysinfo", "PullSettings", "Result", "Ack"] == [
        type(event.message).__name__ for event in pair.server_saw if isinstance(event, Received)
    ]
    assert ["Command", "Ack", "SettingsMessage"] == [
        type(event.message).__name__ for event in pair.device_saw if isinstance(event, Received)
    ]


# Goodbye.


@begun
def test_who_called_says_goodbye(begin: Callable[[], Pair]) -> None:
    """Two seconds after the last word; the called side has no such haste."""
    pair = begin()
    while not (pair.device.done and pair.server.done):
        pair.wake()
        pair.carry()

    assert START + LINGER_SECONDS == pair.now
    ends = {event for event in (*pair.device_saw, *pair.server_saw) if isinstance(event, Closed)}
    assert {Closed(1000, "all is said", by_peer=False), Closed(1000, "all is said", by_peer=True)} == ends


@begun
def test_what_is_unanswered_keeps_it_open(begin: Callable[[], Pair]) -> None:
    """In either direction; two seconds after the last answer the caller leaves."""
    pair = begin()
    pair.device.send(sysinfo(1))
    pair.server.send(Command(id=1, execID="x", command=CommandName.REBOOT))
    pair.carry()
    while pair.now < START + 40:
        pair.wake()
        pair.carry()

    assert pair.device.is_open

    pair.server.send(Ack(re=1))
    pair.carry()
    while pair.now < START + 80:
        pair.wake()
        pair.carry()

    assert pair.device.is_open

    answered = pair.now
    pair.device.send(Result(re=1, execID="x", state=ResultState.SUCCESS))
    pair.carry()
    while not pair.device.done:
        pair.wake()
        pair.carry()

    assert answered + LINGER_SECONDS <= pair.now <= answered + 2 * LINGER_SECONDS


@begun
def test_a_dead_path_is_noticed_by_both(begin: Callable[[], Pair]) -> None:
    """150 seconds after the last sign of life at the latest, whoever called."""
    pair = begin()
    pair.device.send(sysinfo(1))
    pair.server.send(Command(id=1, execID="x", command=CommandName.REBOOT))
    pair.lose_all()
    while not (pair.device.done and pair.server.done):
        pair.wake()
        pair.lose_all()

    assert [Closed(4008, "no sign of life", by_peer=False)] == pair.device_saw
    assert [Closed(4008, "no sign of life", by_peer=False)] == pair.server_saw
    assert START + 150 == pair.now


@pytest.mark.parametrize("make", [ContactPair, PushPair])
def test_a_silent_pair_gives_up_before_the_greeting(make: Callable[[], Pair]) -> None:
    """The server waits 10 seconds, the device 30, and each a little for an answer to its goodbye."""
    pair = make()
    pair.lose_all()
    while not (pair.device.done and pair.server.done):
        pair.wake()
        pair.lose_all()

    assert [Closed(4008, "the greeting did not come in time", by_peer=False)] == pair.server_saw
    assert [Closed(4008, "the greeting did not come in time", by_peer=False)] == pair.device_saw
    assert START + 30 + 5 == pair.now


@begun
def test_either_side_may_close(begin: Callable[[], Pair]) -> None:
    """With a code, as on the WebSocket."""
    pair = begin()
    pair.server.close(CloseCode.DEREGISTERED, "deleted", START)
    pair.carry()

    assert [Closed(4002, "deleted", by_peer=True)] == pair.device_saw
    assert [Closed(4002, "deleted", by_peer=False)] == pair.server_saw
    assert pair.device.done
    assert pair.server.done


# Bad peers.


def test_bad_messages_are_counted_after_the_greeting() -> None:
    """Each is answered; the sixteenth closes, as on the WebSocket."""
    pair = contacted()
    pair.server.receive(write_frame(b"?") * MAX_BAD_MESSAGES, START)

    assert [] == drain(pair.server, START)
    assert not pair.server.is_open


def test_bad_messages_before_the_greeting_close_at_once() -> None:
    """Nothing is forgiven to somebody who has not said who he is."""
    for body in (b"?", b'{"type":"ack","re":1}', b'{"type":"challenge","version":1,"nonce":"' + b"0" * 64 + b'"}'):
        server = answering_server()
        server.receive(write_frame(body) * 2, START)

        assert [] == drain(server, START)
        assert not server.is_open
        assert 1 == server.output().count(b"\x01\x00\x00")


def test_frames_are_small_before_the_greeting() -> None:
    """And as large as the server allows after it."""
    server = answering_server()
    server.receive(write_frame(bytes(MAX_GREETING_BYTES + 1))[:4], START)

    assert [CloseCode.TOO_BIG] == [event.code for event in drain(server, START) if isinstance(event, Closed)]

    pair = contacted()
    pair.server.receive(write_frame(b'{"type":"ack","re":1,"x":"' + b"x" * MAX_GREETING_BYTES + b'"}'), START)

    assert [Received(Ack(re=1))] == drain(pair.server, START)


def test_what_comes_before_the_verdict_waits() -> None:
    """A session message that was sent too early is read after the verdict, not lost and not refused."""
    pair = ContactPair(calling_device(register=REGISTER))
    pair.carry()
    pair.server.receive(write_frame(b'{"type":"ack","re":1}'), START)

    assert [] == drain(pair.server, START)

    pair.server.accept("", START)

    assert [Received(Ack(re=1))] == drain(pair.server, START)


def test_too_much_before_the_verdict() -> None:
    """What waits is bounded; the verdict that comes then changes nothing."""
    pair = ContactPair()
    pair.carry()
    pair.server.receive(write_frame(b"x" * 9000) * 2, START)
    pair.server.admit(KEY, START)

    assert [] == drain(pair.server, START)
    assert not pair.server.is_open
    assert b"too much was said before the answer" in pair.server.output()


def test_gone_before_the_verdict() -> None:
    """Whoever has hung up is told nothing any more, and nobody fails over it."""
    pair = ContactPair()
    pair.carry()
    pair.server.receive(write_frame(b"x"), START)
    pair.server.receive_eof(START)

    assert [CloseCode.ABNORMAL] == [event.code for event in drain(pair.server, START) if isinstance(event, Closed)]

    pair.server.admit(KEY, START)
    pair.server.refuse(ContactRefusal.BUSY, "", START)

    assert b"" == pair.server.output()
    assert not pair.server.is_open


def test_unanswered_messages_are_bounded() -> None:
    """A peer that asks and asks, although nothing is answered, is closed."""
    pair = contacted()
    for number in range(1, MAX_OPEN + 2):
        pair.device.send(PullSettings(id=number))
    pair.carry()

    assert MAX_OPEN + 1 == sum(isinstance(event, Received) for event in pair.server_saw)
    assert [CloseCode.POLICY] == [event.code for event in pair.server_saw if isinstance(event, Closed)]


def test_a_nonce_has_32_bytes() -> None:
    """A shorter one is our bug."""
    with pytest.raises(LocalProtocolError):
        calling_device(nonce=b"short")
