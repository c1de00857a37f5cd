# SPDX-License-Identifier: Apache-2.0
"""Tests of umslab_protocol.machines.websocket: one machine against a peer made of plain bytes (peer.py)."""

from __future__ import annotations

import struct

import pytest

from tests.protocol.machines.peer import (
    BINARY,
    CLOSE,
    CONT,
    PING,
    PONG,
    TEXT,
    Frame,
    read_close,
    read_frames,
    write_close,
    write_frame,
)
from umslab_protocol.errors import LocalProtocolError
from umslab_protocol.machines.carrier import Closed, MessageReceived
from umslab_protocol.machines.websocket import KeepAlive, Role, WebSocketMachine
from umslab_protocol.wire.close_codes import CloseCode

NOW = 50.0
MOST = 70_000
ALIVE = KeepAlive(ping_after=120.0, answer_within=30.0)

Event = MessageReceived | Closed

both_roles = pytest.mark.parametrize("role", Role)


def machine(role: Role = Role.SERVER, keep_alive: KeepAlive = ALIVE, most: int = MOST) -> WebSocketMachine:
    """Return an open WebSocket at NOW."""
    return WebSocketMachine(role, max_message_bytes=most, keep_alive=keep_alive, now=NOW)


def events(ws: WebSocketMachine) -> list[Event]:
    """Return all events there are."""
    found = []
    while (event := ws.next_event()) is not None:
        found.append(event)
    return found


def given(ws: WebSocketMachine, *pieces: bytes) -> list[Event]:
    """Return the events after these bytes, piece by piece."""
    for piece in pieces:
        ws.receive(piece, NOW)
    return events(ws)


def to(role: Role, opcode: int, payload: bytes = b"", *, fin: bool = True) -> bytes:
    """Write a frame as the peer of this role must: masked to a server only."""
    return write_frame(opcode, payload, masked=role is Role.SERVER, fin=fin)


# Messages.


@both_roles
@pytest.mark.parametrize("length", [0, 1, 125, 126, 65_535, 65_536, MOST])
@pytest.mark.parametrize("opcode", [TEXT, BINARY])
def test_a_message_of_any_length(role: Role, length: int, opcode: int) -> None:
    """All three forms of the length, up to the limit, in both directions."""
    ws = machine(role)

    assert [MessageReceived(b"m" * length)] == given(ws, to(role, opcode, b"m" * length))
    assert b"" == ws.output()

    ws.send_text(b"m" * length)

    assert [Frame(TEXT, b"m" * length, masked=role is Role.CLIENT)] == read_frames(ws.output())


@both_roles
def test_byte_by_byte(role: Role) -> None:
    """Where the network cuts does not matter."""
    data = to(role, TEXT, b"one") + to(role, PING, b"?") + to(role, BINARY, bytes(200)) + to(role, TEXT)
    ws = machine(role)
    pieces = [data[at : at + 1] for at in range(len(data))]

    assert [MessageReceived(b"one"), MessageReceived(bytes(200)), MessageReceived(b"")] == given(ws, *pieces)
    assert [PONG] == [frame.opcode for frame in read_frames(ws.output())]


@both_roles
def test_truncated_anywhere(role: Role) -> None:
    """Half a message is no message, wherever the peer's bytes end."""
    data = to(role, TEXT, b"part", fin=False) + to(role, CONT, bytes(130))
    for cut in range(len(data)):
        ws = machine(role)

        assert [] == given(ws, data[:cut])

        ws.receive_eof(NOW)

        assert [Closed(CloseCode.ABNORMAL, "the connection ended without a goodbye", by_peer=True)] == events(ws)
        assert ws.done


@both_roles
def test_many_in_one_read(role: Role) -> None:
    """Order is kept."""
    ws = machine(role)
    payloads = [b"%d" % number for number in range(1000)]

    assert [MessageReceived(payload) for payload in payloads] == given(
        ws, b"".join(to(role, TEXT, payload) for payload in payloads)
    )


@both_roles
def test_several_sent_at_once(role: Role) -> None:
    """Output gathers until it is taken, and is given once."""
    ws = machine(role)
    ws.send_text(b"one")
    ws.send_text(b"two")

    assert [b"one", b"two"] == [frame.payload for frame in read_frames(ws.output())]
    assert b"" == ws.output()


# Fragments.


@both_roles
def test_fragments_are_joined(role: Role) -> None:
    """A message in pieces, with a ping between them that is answered at once."""
    ws = machine(role)

    assert [] == given(ws, to(role, TEXT, b"a", fin=False), to(role, PING, b"?"))
    assert [b"?"] == [frame.payload for frame in read_frames(ws.output())]
    assert [MessageReceived(b"abc"), MessageReceived(b"next")] == given(
        ws, to(role, CONT, b"b", fin=False), to(role, CONT, b"c"), to(role, TEXT, b"next")
    )


@both_roles
def test_a_character_may_be_cut_by_fragments(role: Role) -> None:
    """Text is judged as a whole (RFC 6455 section 5.6)."""
    text = "ü€😀".encode()
    ws = machine(role)
    pieces = [to(role, CONT, text[at : at + 1], fin=False) for at in range(1, len(text))]

    assert [MessageReceived(text)] == given(ws, to(role, TEXT, text[:1], fin=False), *pieces, to(role, CONT))


def test_an_endless_row_of_empty_fragments_costs_nothing() -> None:
    """A hundred thousand of them leave nothing behind, and the message can still end."""
    ws = machine()
    empty = to(Role.SERVER, CONT, fin=False) * 1000

    assert [] == given(ws, to(Role.SERVER, TEXT, b"x", fin=False), *[empty] * 100)
    assert 1 == len(ws._partial)
    assert [MessageReceived(b"x")] == given(ws, to(Role.SERVER, CONT))
    assert 0 == len(ws._partial)


def test_tiny_fragments_cost_what_they_carry() -> None:
    """A message in pieces of two bytes needs about its own size in memory, not an object for each piece."""
    ws = machine()
    piece = to(Role.SERVER, CONT, b"xy", fin=False)
    given(ws, to(Role.SERVER, TEXT, b"", fin=False), *[piece * 1000] * 35)

    assert MOST == len(ws._partial)
    assert ws._partial.__sizeof__() < 2 * MOST


# Limits and violations: each closes with the code that RFC 6455 section 7.4.1 has for it.


def broken(ws: WebSocketMachine, data: bytes, code: CloseCode) -> None:
    """Check that these bytes end the conversation with this code, and that nothing follows."""
    ws.receive(data, NOW)
    sent, reason = read_close(ws.output())
    told = events(ws)

    assert (code, [Closed(code, reason, by_peer=False)]) == (sent, told)
    assert ws.done
    assert not ws.is_open
    assert None is ws.deadline()
    assert [] == given(ws, to(Role.SERVER, TEXT, b"late"), to(Role.CLIENT, TEXT, b"late"))
    ws.receive_eof(NOW)
    assert [] == events(ws)
    assert b"" == ws.output()


@both_roles
def test_too_big(role: Role) -> None:
    """One byte too many is refused by its header alone, before it is sent."""
    header = to(role, TEXT, bytes(MOST + 1))[:10]

    broken(machine(role), header, CloseCode.TOO_BIG)


@both_roles
def test_absurdly_big(role: Role) -> None:
    """A length of 2**63 - 1 bytes is only a number."""
    header = bytes([0x81, 0x7F | (role is Role.SERVER) << 7]) + struct.pack("!Q", 2**63 - 1)

    broken(machine(role), header, CloseCode.TOO_BIG)


@both_roles
def test_too_big_in_pieces(role: Role) -> None:
    """Fragments are counted together."""
    ws = machine(role)

    assert [] == given(ws, to(role, TEXT, b"m" * MOST, fin=False), to(role, CONT, fin=False))
    broken(ws, to(role, CONT, b"m"), CloseCode.TOO_BIG)


@both_roles
def test_the_wrong_masking(role: Role) -> None:
    """A client masks, a server does not (RFC 6455 section 5.1)."""
    broken(machine(role), write_frame(TEXT, b"m", masked=role is Role.CLIENT), CloseCode.PROTOCOL_ERROR)


@both_roles
@pytest.mark.parametrize(
    ("opcode", "payload", "fin", "reserved"),
    [
        pytest.param(TEXT, b"m", True, 4, id="RSV1 without an extension"),
        pytest.param(TEXT, b"m", True, 1, id="RSV3"),
        pytest.param(3, b"m", True, 0, id="reserved data opcode"),
        pytest.param(0xB, b"", True, 0, id="reserved control opcode"),
        pytest.param(PING, bytes(126), True, 0, id="long control frame"),
        pytest.param(PING, b"", False, 0, id="fragmented control frame"),
        pytest.param(CONT, b"m", True, 0, id="continuation of nothing"),
        pytest.param(CLOSE, b"\x03", True, 0, id="half a close code"),
        pytest.param(CLOSE, struct.pack("!H", 999), True, 0, id="close code out of range"),
        pytest.param(CLOSE, struct.pack("!H", 1006), True, 0, id="close code that is never sent"),
    ],
)
def test_violations(role: Role, opcode: int, payload: bytes, fin: bool, reserved: int) -> None:  # noqa: FBT001 - columns
    """What the standard forbids ends in 1002, on either side."""
    data = write_frame(opcode, payload, masked=role is Role.SERVER, fin=fin, reserved=reserved)

    broken(machine(role), data, CloseCode.PROTOCOL_ERROR)


@both_roles
def test_a_message_inside_a_message(role: Role) -> None:
    """The first must end before another begins."""
    ws = machine(role)

    assert [] == given(ws, to(role, TEXT, b"m", fin=False))
    broken(ws, to(role, TEXT, b"m"), CloseCode.PROTOCOL_ERROR)


def test_what_is_waiting_is_still_delivered() -> None:
    """Messages before the violation, in the same read, count."""
    ws = machine()
    heard = given(ws, to(Role.SERVER, TEXT, b"good") + write_frame(3, masked=True) + to(Role.SERVER, TEXT, b"late"))

    assert MessageReceived(b"good") == heard[0]
    assert [CloseCode.PROTOCOL_ERROR] == [event.code for event in heard if isinstance(event, Closed)]
    assert 2 == len(heard)


@both_roles
@pytest.mark.parametrize("payload", [b"\xff", b"cut \xe2\x82", b"\xed\xa0\x80", b"\xc0\x80"])
def test_text_must_be_utf8(role: Role, payload: bytes) -> None:
    """Cut characters, surrogates and overlong forms end in 1007 (RFC 6455 section 8.1)."""
    broken(machine(role), to(role, TEXT, payload), CloseCode.INVALID_DATA)


@both_roles
def test_text_in_fragments_must_be_utf8(role: Role) -> None:
    """The kind of a message is that of its first frame, whatever came before it."""
    ws = machine(role)

    assert [MessageReceived(b"\xff")] == given(ws, to(role, BINARY, b"\xff"))
    assert [] == given(ws, to(role, TEXT, b"\xff", fin=False))
    broken(ws, to(role, CONT), CloseCode.INVALID_DATA)


@both_roles
def test_binary_may_be_anything(role: Role) -> None:
    """Only text has to be text, in one piece or in several."""
    ws = machine(role)

    assert [MessageReceived(b"\xff"), MessageReceived(b"\xfe\xff")] == given(
        ws, to(role, BINARY, b"\xff"), to(role, BINARY, b"\xfe", fin=False), to(role, CONT, b"\xff")
    )


@both_roles
def test_nothing_follows_bad_text(role: Role) -> None:
    """What came in the same read is not delivered after the end."""
    ws = machine(role)
    heard = given(ws, to(role, TEXT, b"\xff") + to(role, TEXT, b"late") + to(role, TEXT, b"\xff"))

    assert [Closed(CloseCode.INVALID_DATA, "a text message is not UTF-8", by_peer=False)] == heard


@both_roles
def test_bad_text_and_a_goodbye(role: Role) -> None:
    """When the peer's close was in the same read, it is what counts; there is one close frame, not two."""
    ws = machine(role)
    heard = given(ws, to(role, TEXT, b"\xff") + write_close(1000, "bye", masked=role is Role.SERVER))

    assert [Closed(1000, "bye", by_peer=True)] == heard
    assert [CLOSE] == [frame.opcode for frame in read_frames(ws.output())]


# Control frames.


@both_roles
@pytest.mark.parametrize("payload", [b"", b"?", bytes(125)])
def test_a_ping_is_answered(role: Role, payload: bytes) -> None:
    """With the same bytes (RFC 6455 section 5.5.3)."""
    ws = machine(role)

    assert [] == given(ws, to(role, PING, payload))
    assert [Frame(PONG, payload, masked=role is Role.CLIENT)] == read_frames(ws.output())


@both_roles
def test_an_unasked_pong_is_ignored(role: Role) -> None:
    """It is a sign of life and nothing else."""
    ws = machine(role)

    assert [] == given(ws, to(role, PONG, b"!"))
    assert b"" == ws.output()


# Keep-alive: the clock is an argument.


@both_roles
def test_a_silent_peer_is_asked_then_given_up(role: Role) -> None:
    """A ping after the silence, the end when nothing comes back."""
    ws = machine(role)

    assert NOW + 120 == ws.deadline()

    ws.on_deadline(NOW + 120)

    assert [PING] == [frame.opcode for frame in read_frames(ws.output())]
    assert NOW + 150 == ws.deadline()

    ws.on_deadline(NOW + 150)

    assert (4008, "no sign of life") == read_close(ws.output())
    assert [Closed(CloseCode.SILENT, "no sign of life", by_peer=False)] == events(ws)
    assert ws.done
    assert None is ws.deadline()


@pytest.mark.parametrize("opcode", [PONG, PING, TEXT])
def test_any_sign_of_life_counts(opcode: int) -> None:
    """The pong, but also anything else that the peer says, and part of a frame already."""
    ws = machine()
    ws.on_deadline(NOW + 120)
    ws.receive(to(Role.SERVER, opcode)[:1], NOW + 149)

    assert NOW + 149 == ws.heard_at
    assert NOW + 149 + 120 == ws.deadline()


def test_too_early() -> None:
    """A timer that fires early changes nothing."""
    ws = machine()
    ws.on_deadline(NOW + 119.999)

    assert b"" == ws.output()
    assert NOW + 120 == ws.deadline()


def test_talking_puts_the_ping_off() -> None:
    """Only silence is asked after."""
    ws = machine()
    ws.receive(to(Role.SERVER, TEXT, b"m"), NOW + 100)
    ws.on_deadline(NOW + 120)

    assert b"" == ws.output()
    assert NOW + 220 == ws.deadline()


def test_without_keep_alive() -> None:
    """None means never."""
    ws = machine(keep_alive=KeepAlive(ping_after=None, answer_within=0.0))
    ws.on_deadline(NOW + 1e9)

    assert None is ws.deadline()
    assert b"" == ws.output()
    assert ws.is_open


# Closing.


@both_roles
def test_we_close(role: Role) -> None:
    """Our frame, the peer's answer, the end in our words."""
    ws = machine(role)
    ws.close(CloseCode.GOING_AWAY, "the server stops", NOW)

    assert (1001, "the server stops") == read_close(ws.output())
    assert (False, False) == (ws.is_open, ws.done)
    assert NOW + 5 == ws.deadline()
    assert [Closed(CloseCode.GOING_AWAY, "the server stops", by_peer=False)] == given(
        ws, write_close(1001, masked=role is Role.SERVER)
    )
    assert ws.done
    assert b"" == ws.output()


@both_roles
@pytest.mark.parametrize(("code", "reason"), [(1000, ""), (4001, "Grüße"), (3000, "r" * 123)])
def test_the_peer_closes(role: Role, code: int, reason: str) -> None:
    """The answer repeats the code; the end is told in the peer's words."""
    ws = machine(role)

    assert [Closed(code, reason, by_peer=True)] == given(ws, write_close(code, reason, masked=role is Role.SERVER))
    assert (code, reason) == read_close(ws.output())
    assert ws.done
    assert not ws.is_open


@both_roles
def test_the_peer_closes_without_a_code(role: Role) -> None:
    """It is told as 1005, which is never sent (RFC 6455 section 7.1.5)."""
    ws = machine(role)

    assert [Closed(1005, "", by_peer=True)] == given(ws, to(role, CLOSE))
    assert [Frame(CLOSE, masked=role is Role.CLIENT)] == read_frames(ws.output())


@both_roles
def test_both_close_at_once(role: Role) -> None:
    """Each side keeps its own reason."""
    ws = machine(role)
    ws.close(CloseCode.NORMAL, "ours", NOW)

    assert [Closed(CloseCode.NORMAL, "ours", by_peer=False)] == given(
        ws, write_close(1001, "theirs", masked=role is Role.SERVER)
    )


def test_closing_twice() -> None:
    """The first reason stands, and the first deadline."""
    ws = machine()
    ws.close(CloseCode.GOING_AWAY, "first", NOW)
    ws.close(CloseCode.NORMAL, "second", NOW + 3)

    assert [(1001, "first")] == [read_close(ws.output())]
    assert NOW + 5 == ws.deadline()


def test_closing_what_is_closed() -> None:
    """Too late is not an error."""
    ws = machine()
    given(ws, write_close(1000, masked=True))
    ws.output()
    ws.close(CloseCode.NORMAL, "too late", NOW)

    assert b"" == ws.output()
    assert None is ws.deadline()


def test_a_goodbye_that_nobody_answers() -> None:
    """After `close_within` seconds it is over, also for a peer that goes on talking; nothing follows."""
    ws = machine()
    ws.close(CloseCode.REPLACED, "a newer session", NOW)
    ws.output()
    heard = given(ws, to(Role.SERVER, TEXT, b"still there"))
    ws.on_deadline(NOW + 4.999)

    assert ([MessageReceived(b"still there")], False) == (heard, ws.done)

    ws.on_deadline(NOW + 5)

    assert [Closed(CloseCode.REPLACED, "a newer session", by_peer=False)] == events(ws)
    assert ws.done
    assert [] == given(ws, to(Role.SERVER, TEXT, b"and still"), write_close(1000, masked=True))


def test_garbage_instead_of_an_answer() -> None:
    """What we said first is what is told."""
    ws = machine()
    ws.close(CloseCode.NORMAL, "bye", NOW)
    ws.output()

    assert [Closed(CloseCode.NORMAL, "bye", by_peer=False)] == given(ws, b"\xff" * 100)
    assert b"" == ws.output()


@both_roles
def test_the_bytes_end(role: Role) -> None:
    """Without a goodbye it is 1006, told once however often the end is seen."""
    ws = machine(role)
    ws.receive_eof(NOW)
    ws.receive_eof(NOW)

    assert [Closed(CloseCode.ABNORMAL, "the connection ended without a goodbye", by_peer=True)] == events(ws)
    assert [] == given(ws, to(role, TEXT, b"from nowhere"))
    assert b"" == ws.output()
    assert (False, True) == (ws.is_open, ws.done)


@both_roles
def test_the_bytes_end_after_our_goodbye(role: Role) -> None:
    """A peer that hangs up instead of answering has understood."""
    ws = machine(role)
    ws.close(CloseCode.NORMAL, "bye", NOW)
    ws.receive_eof(NOW)

    assert [Closed(CloseCode.NORMAL, "bye", by_peer=False)] == events(ws)


@both_roles
def test_sending_after_the_goodbye(role: Role) -> None:
    """That is our bug, and is told as one."""
    ws = machine(role)
    ws.close(CloseCode.NORMAL, "", NOW)

    with pytest.raises(LocalProtocolError, match="a WebSocket that is closing"):
        ws.send_text(b"m")


@both_roles
@pytest.mark.parametrize("code", [code for code in CloseCode if code is not CloseCode.ABNORMAL])
def test_every_code_can_be_sent(role: Role, code: CloseCode) -> None:
    """All but the one that means that nothing was sent."""
    ws = machine(role)
    ws.close(code, "", NOW)

    assert (code, "") == read_close(ws.output())


@pytest.mark.parametrize(
    ("reason", "sent"), [("r" * 123, "r" * 123), ("r" * 124, "r" * 123), ("ü" * 62, "ü" * 61), ("😀" * 31, "😀" * 30)]
)
def test_a_long_reason_is_cut(reason: str, sent: str) -> None:
    """At 123 bytes (RFC 6455 section 5.5), never inside a character."""
    ws = machine()
    ws.close(CloseCode.NORMAL, reason, NOW)

    assert (1000, sent) == read_close(ws.output())


@both_roles
def test_a_flood_of_pings_is_answered_in_bounds(role: Role) -> None:
    """Ten thousand pings in one read give ten thousand pongs, no more bytes than three times what came."""
    ws = machine(role)
    data = to(role, PING) * 10_000
    ws.receive(data, NOW)

    assert len(ws.output()) <= 3 * len(data)
