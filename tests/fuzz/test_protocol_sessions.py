# SPDX-License-Identifier: Apache-2.0
"""Any bytes at all, given to the conversation machines: they never raise, say little, keep little, and end once.

Three kinds of bytes: random ones, random frames that are well formed (so that more than the first byte is read), and
whole conversations of real sessions with a few bytes changed.
"""

from __future__ import annotations

import json
from functools import cache
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from tests.protocol.machines.pair import START, UNIT_ID, Pair
from tests.protocol.machines.peer import BINARY, CLOSE, CONT, PING, PONG, TEXT, write_frame
from tests.protocol.wire.instances import documents, tag
from tests.support.greeting import hello
from umslab_protocol.machines.carrier import Closed, MessageReceived
from umslab_protocol.machines.session import MAX_BAD_MESSAGES, Received, SessionMachine
from umslab_protocol.machines.session_device import DeviceSession
from umslab_protocol.machines.session_server import ServerSession, SessionRules
from umslab_protocol.machines.websocket import KeepAlive, Role, WebSocketMachine
from umslab_protocol.wire.close_codes import CloseCode
from umslab_protocol.wire.codec import JsonCodec
from umslab_protocol.wire.inventory import DeviceInfo
from umslab_protocol.wire.messages import (
    FROM_DEVICE,
    FROM_SERVER,
    MESSAGE_TYPES,
    Ack,
    Command,
    Deregister,
    Error,
    Hello,
    PullSettings,
    PushSysinfo,
    Result,
    SettingsMessage,
    encode_message,
)
from umslab_protocol.wire.orders import CommandName, ResultState

MOST = 2048
LONGEST_ERROR = 2_200
"""More bytes than an error message with its frame can have here."""

roles = st.sampled_from(Role)
payloads = (
    st.binary(max_size=130)
    | st.sampled_from([b"", b"\xff", "ü".encode()[:1], bytes(126), bytes(MOST), bytes(MOST + 1), b"\x03\xe8bye"])
    | st.sampled_from(
        [
            encode_message(Hello(versions=[1], unitID=UNIT_ID, firmwareVersion="12.8.4")),
            encode_message(Ack(re=1)),
            encode_message(Deregister(id=1)),
            encode_message(Error(code="c", message="m")),
            b'{"type":"welcome","version":1,"server":"","session":"","pingSeconds":1,"maxMessageBytes":1}',
            b'{"type":"new","id":3}',
            b"[" * 1500,
        ]
    )
)
opcodes = st.sampled_from([TEXT, TEXT, TEXT, BINARY, CONT, CONT, PING, PONG, CLOSE]) | st.integers(0, 15)


@st.composite
def frames(draw: st.DrawFn, role: Role) -> bytes:
    """Draw a row of frames, mostly as the peer of this role may send them."""
    rarely = st.integers(0, 40).map(lambda number: number == 0)
    row = []
    for _ in range(draw(st.integers(1, 12))):
        masked = (role is Role.SERVER) != draw(rarely)
        fin = draw(st.sampled_from([True, True, False]))
        reserved = 4 if draw(rarely) else 0
        row.append(write_frame(draw(opcodes), draw(payloads), masked=masked, fin=fin, reserved=reserved))
    return b"".join(row)


@cache
def conversation(role: Role) -> bytes:
    """Return all bytes that the peer of this role says in a good session."""
    pair = Pair()
    heard = bytearray()
    info = DeviceInfo(unitID=UNIT_ID, mac=UNIT_ID, firmwareVersion="12.8.4", productId="UD3")
    for step in range(4):
        if step == 1:
            pair.device.send(PushSysinfo(id=1, info=info))
            pair.device.send(PullSettings(id=2))
            pair.server.send(Ack(re=1))
            pair.server.send(SettingsMessage(id=1, re=2, version=1, digest="d", settings={"a.b": "ü"}))
        if step == 2:
            pair.device.send(Error(code="later", message="ü" * 200))
            pair.server.send(Command(id=2, execID="x", command=CommandName.REBOOT))
            pair.device.send(Result(re=2, execID="x", state=ResultState.SUCCESS))
            pair.server.send(Deregister(id=3, reason="deleted"))
        if step == 3:
            pair.server.close(CloseCode.NORMAL, "bye", START)
        from_device, from_server = pair.device.output(), pair.server.output()
        heard += from_device if role is Role.SERVER else from_server
        pair.server.receive(from_device, START)
        pair.device.receive(from_server, START)
        while pair.server.next_event(START) or pair.device.next_event(START):
            pass
    return bytes(heard)


@st.composite
def mutated(draw: st.DrawFn, role: Role) -> bytes:
    """Draw a good conversation with up to five places changed."""
    data = bytearray(conversation(role))
    for _ in range(draw(st.integers(0, 5))):
        at = draw(st.integers(0, len(data)))
        data[at : at + draw(st.integers(0, 4))] = draw(st.binary(max_size=4))
    return bytes(data)


@st.composite
def hostile(draw: st.DrawFn) -> tuple[Role, list[bytes]]:
    """Draw a role and what its peer sends, cut into reads."""
    role = draw(roles)
    data = draw(st.one_of(st.binary(max_size=300), frames(role), mutated(role)))
    size = draw(st.sampled_from([1, 2, 7, 100, 100_000]))
    return role, [data[at : at + size] for at in range(0, len(data), size)]


def play_websocket(role: Role, pieces: list[bytes], *, close_at: int | None) -> list[MessageReceived | Closed]:
    """Feed a WebSocket, perhaps close it from here in between; return its events."""
    keep_alive = KeepAlive(ping_after=10.0, answer_within=5.0)
    ws = WebSocketMachine(role, max_message_bytes=MOST, keep_alive=keep_alive, now=START)
    seen: list[MessageReceived | Closed] = []
    bound = 3 * sum(map(len, pieces)) + 130
    for number, piece in enumerate(pieces):
        if number == close_at:
            ws.close(CloseCode.NORMAL, "enough", START)
            ws.output()
        ws.receive(piece, START)
        while (event := ws.next_event()) is not None:
            seen.append(event)

        assert len(ws.output()) <= bound
        assert len(ws._partial) <= MOST
        assert ws.done == bool(seen and isinstance(seen[-1], Closed))
    ws.receive_eof(START)
    while (event := ws.next_event()) is not None:
        seen.append(event)
    return seen


@settings(deadline=None, max_examples=150)
@given(hostile(), st.none() | st.integers(0, 5))
def test_a_websocket(heard: tuple[Role, list[bytes]], close_at: int | None) -> None:
    """Any bytes: messages within the limit, then exactly one end, and nothing after it."""
    seen = play_websocket(*heard, close_at=close_at)

    assert isinstance(seen[-1], Closed)
    assert all(isinstance(event, MessageReceived) and len(event.payload) <= MOST for event in seen[:-1])


@settings(deadline=None, max_examples=100)
@given(hostile())
def test_where_the_network_cuts_does_not_matter_to_a_websocket(heard: tuple[Role, list[bytes]]) -> None:
    """The same messages come out of the same bytes, all at once or one by one."""
    role, pieces = heard
    data = b"".join(pieces)
    at_once = play_websocket(role, [data], close_at=None)
    one_by_one = play_websocket(role, [data[at : at + 1] for at in range(len(data))], close_at=None)

    assert at_once[:-1] == one_by_one[:-1]


def new_session(role: Role) -> SessionMachine:
    """Return a session of either role, with a small limit where the role has a choice."""
    if role is Role.CLIENT:
        device = DeviceSession(codec=JsonCodec(), hello=hello(UNIT_ID), now=START)
        device.output()
        return device
    rules = SessionRules(max_message_bytes=MOST)
    return ServerSession(codec=JsonCodec(), rules=rules, server_name="ums-1", session_id="s-1", now=START)


def play_session(role: Role, pieces: list[bytes], *, late: float = 0.0) -> tuple[list[Received], Closed]:
    """Feed a session, letting time pass between the reads; return what its user sees, and how it ended."""
    session = new_session(role)
    seen: list[Received | Closed] = []
    now, said = START, 0
    for piece in pieces:
        now += late
        session.on_deadline(now)
        session.receive(piece, now)
        while (event := session.next_event(now)) is not None:
            seen.append(event)
        said += len(session.output())
    session.receive_eof(now)
    while (event := session.next_event(now)) is not None:
        seen.append(event)

    assert said <= 3 * sum(map(len, pieces)) + MAX_BAD_MESSAGES * LONGEST_ERROR + 1000
    assert session.done
    assert not session.is_open
    assert None is session.deadline()

    *received, closed = seen

    assert isinstance(closed, Closed)
    return [event for event in received if isinstance(event, Received)], closed


@settings(deadline=None, max_examples=150)
@given(hostile(), st.sampled_from([0.0, 0.0, 1.0, 40.0, 300.0]))
def test_a_session(heard: tuple[Role, list[bytes]], late: float) -> None:
    """Any bytes at any time: no exception, bounded output, exactly one end."""
    play_session(*heard, late=late)


@settings(deadline=None, max_examples=100)
@given(hostile())
def test_where_the_network_cuts_does_not_matter_to_a_session(heard: tuple[Role, list[bytes]]) -> None:
    """The user sees the same messages, all at once or one by one."""
    role, pieces = heard
    data = b"".join(pieces)

    assert play_session(role, [data])[0] == play_session(role, [data[at : at + 1] for at in range(len(data))])[0]


names = ["type", "id", "re", "versions", "unitID", "info", "reason", "code", "message", "settings", "digest"]
values: list[Any] = [*map(tag, MESSAGE_TYPES), "", [1], [], 1, 2, 0, None, {}, True]
near_messages = st.dictionaries(st.sampled_from(names), st.sampled_from(values))
whole_messages = st.sampled_from(MESSAGE_TYPES).flatmap(documents)
json_texts = (near_messages | whole_messages).map(json.dumps)


@settings(deadline=None, max_examples=120)
@given(st.lists(json_texts, min_size=1, max_size=40), roles)
def test_nonsense_in_order(texts: list[str], role: Role) -> None:
    """Rows of messages in any order, and of what is nearly a message, to either role, greeted or not."""
    greeting = {
        Role.SERVER: '{"type":"hello","versions":[1],"unitID":"","firmwareVersion":""}',
        Role.CLIENT: '{"type":"welcome","version":1,"server":"","session":"","pingSeconds":1,"maxMessageBytes":1}',
    }
    pieces = [write_frame(TEXT, text.encode(), masked=role is Role.SERVER) for text in [greeting[role], *texts]]
    received, _ = play_session(role, pieces)
    ids = [number for event in received if (number := getattr(event.message, "id", None))]

    assert 1 <= len(received) <= len(pieces)
    assert sorted(set(ids)) == ids
    assert all(isinstance(event.message, FROM_DEVICE if role is Role.SERVER else FROM_SERVER) for event in received[1:])
    play_session(role, pieces[1:])
