# SPDX-License-Identifier: Apache-2.0
"""Tests of umslab_protocol.machines.session: both roles back to back (pair.py), and what they have in common."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from tests.protocol.machines.pair import START, UNIT_ID, Pair, drain
from tests.protocol.machines.peer import (
    BINARY,
    CLOSE,
    CONT,
    PING,
    PONG,
    TEXT,
    read_close,
    read_frames,
    write_close,
    write_frame,
)
from tests.support.greeting import hello
from umslab_protocol.errors import LocalProtocolError
from umslab_protocol.machines.carrier import Closed
from umslab_protocol.machines.session import MAX_BAD_MESSAGES, Received
from umslab_protocol.machines.session_server import ServerSession, SessionRules
from umslab_protocol.wire.close_codes import CloseCode
from umslab_protocol.wire.inventory import DeviceInfo
from umslab_protocol.wire.messages import (
    MAX_MESSAGE_BYTES,
    Ack,
    Deregister,
    Error,
    Message,
    PullSettings,
    PushSysinfo,
    SettingsMessage,
    UnreadableMessageError,
    Welcome,
    decode_message,
    encode_message,
)

if TYPE_CHECKING:
    from umslab_protocol.machines.session import SessionEvent

INFO = PushSysinfo(
    id=1, info=DeviceInfo(unitID=UNIT_ID, mac=UNIT_ID, firmwareVersion="12.8.4", productId="UD3", biosVendor="x" * 200)
)
HELLO = hello(UNIT_ID)
WELCOME = Welcome(version=1, server="ums-1", session="s-1", pingSeconds=120.0, maxMessageBytes=MAX_MESSAGE_BYTES)

steps = pytest.mark.parametrize("step", [None, 1, 2, 7], ids=lambda step: f"by {step or 'all'}")


def text(payload: bytes) -> bytes:
    """Write a text frame from a device."""
    return write_frame(TEXT, payload, masked=True)


def said(data: bytes) -> list[Message]:
    """Read the messages in a machine's output."""
    return [decode_message(frame.payload) for frame in read_frames(data) if frame.opcode == TEXT]


# Back to back.


@steps
def test_greeting(pair: Pair, step: int | None) -> None:
    """Hello, welcome, open: however the bytes are cut."""
    pair.carry(step)

    assert [Received(HELLO)] == pair.server_saw
    assert [Received(WELCOME)] == pair.device_saw
    assert pair.device.is_open
    assert pair.server.is_open


@steps
def test_a_whole_session(pair: Pair, step: int | None) -> None:
    """Information and acknowledgement, deregistration and acknowledgement, and the server closes."""
    pair.carry(step)
    pair.device.send(INFO)
    pair.carry(step)
    pair.server.send(Ack(re=1))
    pair.server.send(Deregister(id=1, reason="deleted"))
    pair.carry(step)
    pair.device.send(Ack(re=1))
    pair.carry(step)
    pair.server.close(CloseCode.DEREGISTERED, "this device was deleted", START)
    pair.carry(step)

    assert [Received(HELLO), Received(INFO), Received(Ack(re=1))] == pair.server_saw[:3]
    assert [Closed(4002, "this device was deleted", by_peer=False)] == pair.server_saw[3:]
    assert [Received(WELCOME), Received(Ack(re=1)), Received(Deregister(id=1, reason="deleted"))] == pair.device_saw[:3]
    assert [Closed(4002, "this device was deleted", by_peer=True)] == pair.device_saw[3:]
    assert pair.device.done
    assert pair.server.done


def test_the_device_closes(greeted: Pair) -> None:
    """The same from the other side."""
    greeted.device.close(CloseCode.NORMAL, "renewing the certificate", START)
    greeted.carry()

    assert [Closed(1000, "renewing the certificate", by_peer=True)] == greeted.server_saw
    assert [Closed(1000, "renewing the certificate", by_peer=False)] == greeted.device_saw
    assert not greeted.device.is_open
    assert not greeted.server.is_open


def test_both_close_at_once(greeted: Pair) -> None:
    """Each keeps its own reason."""
    greeted.device.close(CloseCode.NORMAL, "device", START)
    greeted.server.close(CloseCode.GOING_AWAY, "server", START)
    greeted.carry()

    assert [Closed(1001, "server", by_peer=False)] == greeted.server_saw
    assert [Closed(1000, "device", by_peer=False)] == greeted.device_saw


def test_closing_before_the_greeting(pair: Pair) -> None:
    """A server that stops closes also those it has not met."""
    pair.server.close(CloseCode.GOING_AWAY, "the server stops", START)
    pair.carry()

    assert [Closed(1001, "the server stops", by_peer=False)] == pair.server_saw
    assert [Closed(1001, "the server stops", by_peer=True)] == pair.device_saw


def test_messages_to_a_closing_side_are_dropped(greeted: Pair) -> None:
    """Whoever has said goodbye hears nothing but the answer to it."""
    greeted.device.send(INFO)
    greeted.server.close(CloseCode.GOING_AWAY, "", START)
    greeted.carry()

    assert [Closed(1001, "", by_peer=False)] == greeted.server_saw


@steps
def test_last_words_are_delivered(greeted: Pair, step: int | None) -> None:
    """What was said before the goodbye counts, also when both come in one read."""
    greeted.device.send(INFO)
    greeted.device.close(CloseCode.NORMAL, "", START)
    greeted.carry(step)

    assert [Received(INFO), Closed(1000, "", by_peer=True)] == greeted.server_saw


@steps
def test_a_greeting_and_a_goodbye(pair: Pair, step: int | None) -> None:
    """A device that leaves at once has been there: hello is told, and nobody fails over the answer to it."""
    pair.device.close(CloseCode.NORMAL, "", START)
    pair.carry(step)

    assert [Received(HELLO), Closed(1000, "", by_peer=True)] == pair.server_saw
    assert [Closed(1000, "", by_peer=False)] == pair.device_saw
    assert not pair.server.is_open


def test_the_connection_breaks(greeted: Pair) -> None:
    """Both sides see it for themselves."""
    greeted.device.receive_eof(START)
    greeted.server.receive_eof(START)

    assert [CloseCode.ABNORMAL] == [event.code for event in drain(greeted.server, START) if isinstance(event, Closed)]
    assert [CloseCode.ABNORMAL] == [event.code for event in drain(greeted.device, START) if isinstance(event, Closed)]
    assert greeted.device.done
    assert greeted.server.done


def test_a_session_is_kept_alive(greeted: Pair) -> None:
    """For ten days: the server pings every 120 seconds of silence, the device answers, nobody gives up."""
    begin, pings = greeted.now, 0
    while greeted.now < begin + 10 * 86_400:
        greeted.wake()
        pings += 1
        greeted.carry()

    assert 10 * 86_400 / 120 == pings
    assert [] == greeted.server_saw + greeted.device_saw
    assert greeted.device.is_open
    assert greeted.server.is_open


def test_a_dead_path_is_noticed_by_both(greeted: Pair) -> None:
    """The server gives up 150 seconds after the last sign of life, the device after 240; each ends for good."""
    while not (greeted.device.done and greeted.server.done):
        greeted.wake()
        greeted.lose_all()

    assert [Closed(4008, "no sign of life", by_peer=False)] == greeted.server_saw
    assert [Closed(4008, "the server has fallen silent", by_peer=False)] == greeted.device_saw
    assert START + 240 + 5 == greeted.now


def test_a_silent_pair_gives_up_before_the_greeting(pair: Pair) -> None:
    """Hello and welcome lost: the server waits 10 seconds, the device 30."""
    pair.lose_all()
    while not (pair.device.done and pair.server.done):
        pair.wake()
        pair.lose_all()

    assert [Closed(4008, "the greeting did not come in time", by_peer=False)] == pair.server_saw
    assert [Closed(4008, "the greeting did not come in time", by_peer=False)] == pair.device_saw
    assert START + 30 + 5 == pair.now


def test_other_rules() -> None:
    """What the server is told to demand is what it announces."""
    pair = Pair(SessionRules(ping_after=7.0, max_message_bytes=2048)).carry()
    (welcome,) = pair.device_saw

    assert isinstance(welcome, Received)
    assert isinstance(welcome.message, Welcome)
    assert (7.0, 2048) == (welcome.message.pingSeconds, welcome.message.maxMessageBytes)
    assert START + 7 == pair.server.deadline()
    assert START + 14 == pair.device.deadline()


def test_too_big_for_the_rules() -> None:
    """A message over the limit closes the session on both sides with 1009."""
    pair = Pair(SessionRules(max_message_bytes=1024)).carry()
    info = DeviceInfo(unitID="x" * 250, mac="x" * 250, firmwareVersion="x" * 250, productId="x" * 250, osType="x" * 250)
    pair.device.send(PushSysinfo(id=1, info=info))
    pair.carry()

    assert [CloseCode.TOO_BIG] == [event.code for event in pair.server_saw if isinstance(event, Closed)]
    assert [CloseCode.TOO_BIG] == [event.code for event in pair.device_saw if isinstance(event, Closed)]


def test_sending_on_a_closing_session(greeted: Pair) -> None:
    """That is our bug, and is told as one."""
    greeted.server.close(CloseCode.NORMAL, "", START)

    with pytest.raises(LocalProtocolError):
        greeted.server.send(Ack(re=1))


# Bad messages: the peer is a device made of bytes.


def test_a_bad_message_is_answered_and_the_session_goes_on(greeted: Pair) -> None:
    """The answer names what is wrong and, where it could be read, the message."""
    server = greeted.server
    server.receive(text(b"hello?") + text(b'{"type":"reboot","id":9}') + text(b'{"type":"ack","re":3}'), START)

    assert [Received(Ack(re=3))] == drain(server, START)

    answers = said(server.output())

    assert [("not-json", None), ("unknown-type", 9)] == [
        (answer.code, answer.re) for answer in answers if isinstance(answer, Error)
    ]
    assert server.is_open


def test_sixteen_bad_messages_close(greeted: Pair) -> None:
    """Each is answered; with the last one the session is closed."""
    server = greeted.server
    for _ in range(MAX_BAD_MESSAGES - 1):
        server.receive(text(b"?"), START)

        assert [] == drain(server, START)
        assert [Error] == [type(answer) for answer in said(server.output())]

    server.receive(text(b"?"), START)
    server.next_event(START)
    output = server.output()

    assert 16 == MAX_BAD_MESSAGES
    assert [Error] == [type(answer) for answer in said(output)]
    assert (1008, "16 unreadable or misplaced messages") == read_close(output)
    assert not server.is_open


def test_no_answers_after_the_last_one(greeted: Pair) -> None:
    """A flood in one read gets sixteen answers and no more."""
    server = greeted.server
    server.receive(text(b"?") * 1000, START)

    assert [] == drain(server, START)
    assert MAX_BAD_MESSAGES == len(said(server.output()))


def test_unreadable_and_misplaced_count_together(greeted: Pair) -> None:
    """Whatever kind of nonsense it is."""
    server = greeted.server
    server.receive((text(b"?") + text(encode_message(HELLO))) * 8, START)

    assert [] == drain(server, START)
    assert not server.is_open


def test_the_device_answers_bad_messages_too(greeted: Pair) -> None:
    """The rule is the same in both roles."""
    device = greeted.device
    device.receive(write_frame(TEXT, b"?", masked=False) * 16, START)

    assert [] == drain(device, START)

    output = device.output()

    assert ["not-json"] * 16 == [answer.code for answer in said(output) if isinstance(answer, Error)]
    assert CloseCode.POLICY == read_close(output)[0]


def test_an_error_is_not_answered(greeted: Pair) -> None:
    """Otherwise two sides could complain to each other for ever."""
    greeted.device.send(Error(code="busy", message="later", re=1))
    greeted.carry()

    assert [Received(Error(code="busy", message="later", re=1))] == greeted.server_saw
    assert [] == greeted.device_saw


def test_text_that_is_not_utf8_closes(greeted: Pair) -> None:
    """That is a matter of the WebSocket, not of a message (RFC 6455 section 8.1)."""
    server = greeted.server
    server.receive(text(b'{"type":"ack","re":1,"x":"\xff"}'), START)

    assert [Closed(CloseCode.INVALID_DATA, "a text message is not UTF-8", by_peer=False)] == drain(server, START)


def test_binary_that_is_not_utf8_is_a_bad_message(greeted: Pair) -> None:
    """It is answered like any other that cannot be read."""
    server = greeted.server
    server.receive(write_frame(BINARY, b'{"type":"\xff"}', masked=True), START)

    assert [] == drain(server, START)
    assert [Error] == [type(answer) for answer in said(server.output())]


def test_json_bombs_are_bad_messages(greeted: Pair) -> None:
    """Deep nesting as big as a message may be costs the sender one of its sixteen."""
    server = greeted.server
    server.receive(text(b'{"type":"ack","re":1,"x":' + b"[" * 200_000), START)

    assert [] == drain(server, START)
    assert [Error] == [type(answer) for answer in said(server.output())]
    assert server.is_open


def test_messages_in_fragments(greeted: Pair) -> None:
    """With a ping in between, as proxies and libraries may send them."""
    server = greeted.server
    payload = encode_message(INFO)
    server.receive(write_frame(TEXT, payload[:50], masked=True, fin=False), START)
    server.receive(write_frame(PING, b"?", masked=True), START)
    server.receive(write_frame(CONT, payload[50:], masked=True), START)

    assert [Received(INFO)] == drain(server, START)
    assert [PONG] == [frame.opcode for frame in read_frames(server.output())]


def test_nonsense_and_a_goodbye_in_one_read(greeted: Pair) -> None:
    """There is nobody left to answer, but the sixteenth bad message still ends the hearing."""
    server = greeted.server
    ack = text(encode_message(Ack(re=1)))
    server.receive(ack + text(b"?") * 16 + ack + write_close(1000, "bye", masked=True), START)

    assert [Received(Ack(re=1)), Closed(1000, "bye", by_peer=True)] == drain(server, START)
    assert [CLOSE] == [frame.opcode for frame in read_frames(server.output())]


def test_messages_before_a_violation_are_delivered(greeted: Pair) -> None:
    """Also when the peer breaks the rules in the same read."""
    server = greeted.server
    server.receive(text(encode_message(INFO)) + write_frame(3, masked=True), START)

    assert [Received(INFO), CloseCode.PROTOCOL_ERROR] == [
        event.code if isinstance(event, Closed) else event for event in drain(server, START)
    ]


# Ids grow.


def ids(*numbers: int) -> bytes:
    """Write messages of a device with these ids."""
    return b"".join(text(encode_message(PullSettings(id=number))) for number in numbers)


def test_an_id_is_used_once(greeted: Pair) -> None:
    """A repeated id, or a smaller one, is answered with an error and not seen; gaps are nobody's business."""
    server = greeted.server
    server.receive(ids(5, 5, 4, 6, 1000, 6), START)

    assert [5, 6, 1000] == [number for event in drain(server, START) if (number := id_of(event))]
    assert [
        Error(code="duplicate-id", message="id 5 comes after id 5", re=5),
        Error(code="duplicate-id", message="id 4 comes after id 5", re=4),
        Error(code="duplicate-id", message="id 6 comes after id 1000", re=6),
    ] == said(server.output())
    assert server.is_open


def id_of(event: SessionEvent) -> int | None:
    """The id of a message that was received."""
    return getattr(event.message, "id", None) if isinstance(event, Received) else None


def test_the_same_rule_holds_for_the_server(greeted: Pair) -> None:
    """A device does nothing twice because a message came twice."""
    greeted.server.send(Deregister(id=3))
    greeted.server.send(Deregister(id=3))
    greeted.carry()

    assert [Received(Deregister(id=3))] == greeted.device_saw
    assert [Received(Error(code="duplicate-id", message="id 3 comes after id 3", re=3))] == greeted.server_saw


def test_each_side_counts_for_itself(greeted: Pair) -> None:
    """The same id in both directions is no repetition; what only answers has none."""
    greeted.device.send(PullSettings(id=1))
    greeted.server.send(SettingsMessage(id=1, re=1, version=1, digest="d"))
    greeted.device.send(Ack(re=1))
    greeted.device.send(Ack(re=1))
    greeted.carry()

    assert 3 == len(greeted.server_saw)
    assert [Received(SettingsMessage(id=1, re=1, version=1, digest="d"))] == greeted.device_saw


def test_what_was_refused_has_used_no_id(greeted: Pair) -> None:
    """A message that could not be read, or may not be said here, can be said again properly under its id."""
    server = greeted.server
    server.receive(text(b'{"type":"pullsettings","id":7,"version":"x"}') + text(b'{"type":"roots","id":7}'), START)
    server.receive(text(b'{"type":"deregister","id":7}') + ids(7), START)

    assert [7] == [id_of(event) for event in drain(server, START)]
    assert ["invalid-message", "invalid-message", "out-of-order"] == [
        answer.code for answer in said(server.output()) if isinstance(answer, Error)
    ]


def test_a_new_session_begins_anew() -> None:
    """Ids belong to a session."""
    for _ in range(2):
        pair = Pair().carry()
        pair.device.send(PullSettings(id=1))
        pair.carry()

        assert Received(PullSettings(id=1)) == pair.server_saw[-1]


def test_the_greatest_id(greeted: Pair) -> None:
    """After it there is none: whoever begins there has said his last word."""
    server = greeted.server
    server.receive(ids(2**53, 1), START)

    assert [2**53] == [id_of(event) for event in drain(server, START)]
    assert ["duplicate-id"] == [answer.code for answer in said(server.output()) if isinstance(answer, Error)]


def test_sixteen_repetitions_close(greeted: Pair) -> None:
    """They count like other nonsense; a good message in between forgives."""
    server = greeted.server
    server.receive(ids(1, *[1] * 15, 2, *[1] * 15, 3), START)

    assert [1, 2, 3] == [id_of(event) for event in drain(server, START)]
    assert server.is_open

    server.receive(ids(*[3] * 16, 4), START)

    assert [] == drain(server, START)
    assert not server.is_open


# The codec is a seam.


class ShoutingCodec:
    """A stranger's format: JSON in upper case, with very long complaints."""

    def encode(self, message: Message) -> bytes:
        """Write a message."""
        return json.dumps([json.loads(encode_message(message))]).encode()

    def decode(self, payload: bytes) -> Message:
        """Read a message."""
        if not payload.startswith(b"["):
            raise UnreadableMessageError("no! " * 10_000, code="shouted", re=7)
        return decode_message(payload[1:-1])


def test_another_codec() -> None:
    """Messages go through it both ways, and its complaints are cut to what an error may carry."""
    server = ServerSession(
        codec=ShoutingCodec(), rules=SessionRules(), server_name="ums-1", session_id="s-1", now=START
    )
    server.receive(text(b"[" + encode_message(HELLO) + b"]") + text(b"?"), START)

    assert [Received(HELLO)] == drain(server, START)

    welcome, error = (json.loads(frame.payload)[0] for frame in read_frames(server.output()))

    assert "welcome" == welcome["type"]
    assert ("shouted", 7, 2000) == (error["code"], error["re"], len(error["message"]))
