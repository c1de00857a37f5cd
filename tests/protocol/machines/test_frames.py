# SPDX-License-Identifier: Apache-2.0
"""Tests of umslab_protocol.machines.frames: one machine against a peer made of plain bytes (framing.py).

What it has in common with the WebSocket is in test_carrier.py.
"""

from __future__ import annotations

import pytest

from tests.protocol.machines.framing import (
    GOODBYE,
    MESSAGE,
    read_frames,
    read_goodbye,
    write_frame,
    write_goodbye,
)
from umslab_protocol.errors import LocalProtocolError
from umslab_protocol.machines.carrier import Closed, MessageReceived
from umslab_protocol.machines.frames import LARGEST_BODY, FrameMachine
from umslab_protocol.wire.close_codes import CloseCode

NOW = 50.0
MOST = 1000

Event = MessageReceived | Closed


def machine(silent_after: float | None = 150.0) -> FrameMachine:
    """Return an open connection at NOW."""
    return FrameMachine(max_message_bytes=MOST, silent_after=silent_after, now=NOW)


def given(frames: FrameMachine, *pieces: bytes) -> list[Event]:
    """Return the events after these bytes, read after each piece."""
    found: list[Event] = []
    for piece in pieces:
        frames.receive(piece, NOW)
        while (event := frames.next_event()) is not None:
            found.append(event)
    return found


def test_the_bytes() -> None:
    """A kind, three bytes of length, the body; a goodbye with code and reason."""
    frames = machine()
    frames.send_text(b'{"type":"ack","re":1}')
    frames.close(CloseCode.NORMAL, "bye", NOW)

    assert b'\x00\x00\x00\x15{"type":"ack","re":1}' + b"\x01\x00\x00\x05\x03\xe8bye" == frames.output()


@pytest.mark.parametrize("length", [1, 255, 256, MOST])
def test_a_message_of_any_length(length: int) -> None:
    """In both directions, however the bytes are cut."""
    data = write_frame(b"m" * length)
    frames = machine()

    assert [MessageReceived(b"m" * length)] * 2 == given(frames, data, *(data[at : at + 1] for at in range(len(data))))

    frames.send_text(b"m" * length)

    assert [(MESSAGE, b"m" * length)] == read_frames(frames.output())


def test_what_fits_no_frame() -> None:
    """That is our bug, and is told as one."""
    for payload in (b"", bytes(LARGEST_BODY + 1)):
        with pytest.raises(LocalProtocolError):
            machine().send_text(payload)


@pytest.mark.parametrize(
    ("data", "code", "reason"),
    [
        (write_frame(b""), CloseCode.PROTOCOL_ERROR, "an empty frame"),
        (write_frame(b"x", 2), CloseCode.PROTOCOL_ERROR, "a frame of the unknown kind 2"),
        (b"GET / HTTP/1.1", CloseCode.PROTOCOL_ERROR, "a frame of the unknown kind 71"),
        (
            b"\x00\x00\x03\xe9",
            CloseCode.TOO_BIG,
            "a frame of 1001 bytes, at most 1000 are taken now",
        ),
        (write_frame(b"x", GOODBYE), CloseCode.PROTOCOL_ERROR, "a goodbye that cannot be read"),
        (write_frame(b"x" * 126, GOODBYE), CloseCode.PROTOCOL_ERROR, "a goodbye that cannot be read"),
        (write_frame(b"\x03\xe8\xff", GOODBYE), CloseCode.PROTOCOL_ERROR, "a goodbye that cannot be read"),
        (write_goodbye(999), CloseCode.PROTOCOL_ERROR, "a goodbye that cannot be read"),
        (write_goodbye(1006), CloseCode.PROTOCOL_ERROR, "a goodbye that cannot be read"),
        (write_goodbye(5000), CloseCode.PROTOCOL_ERROR, "a goodbye that cannot be read"),
    ],
)
def test_violations(data: bytes, code: CloseCode, reason: str) -> None:
    """Each ends the conversation, says so, and what came with it is not looked at."""
    frames = machine()

    assert [MessageReceived(b"1"), Closed(code, reason, by_peer=False)] == given(
        frames, write_frame(b"1") + data + write_frame(b"2")
    )
    assert (code, reason) == read_goodbye(frames.output())
    assert frames.done
    assert [] == given(frames, write_frame(b"3"))
    assert 0 == frames.buffered


def test_the_limit_is_raised_for_what_follows() -> None:
    """Also when it came in the same read as the message that raised it."""
    frames = FrameMachine(max_message_bytes=10, silent_after=None, now=NOW)
    frames.receive(write_frame(b"raise it") + write_frame(b"x" * 500), NOW)

    assert MessageReceived(b"raise it") == frames.next_event()

    frames.allow(500)

    assert MessageReceived(b"x" * 500) == frames.next_event()


def test_a_goodbye_is_answered() -> None:
    """With the same words, and nothing after it is heard."""
    frames = machine()

    assert [MessageReceived(b"1"), Closed(4002, "ü", by_peer=True)] == given(
        frames, write_frame(b"1") + write_goodbye(4002, "ü") + write_frame(b"2")
    )
    assert write_goodbye(4002, "ü") == frames.output()


def test_messages_on_the_way_to_our_goodbye() -> None:
    """They are told; then comes the answer, whatever it says, and ours is what counts."""
    frames = machine()
    frames.close(CloseCode.NORMAL, "mine", NOW)

    assert [MessageReceived(b"1"), Closed(1000, "mine", by_peer=False)] == given(
        frames, write_frame(b"1") + write_goodbye(1001, "yours")
    )


@pytest.mark.parametrize("cut", range(9))
def test_truncated_anywhere(cut: int) -> None:
    """Half a frame is nothing, wherever the peer's bytes end."""
    frames = machine()
    frames.receive(write_frame(b"12345")[:cut], NOW)
    frames.receive_eof(NOW)

    assert Closed(1006, "the connection ended without a goodbye", by_peer=True) == frames.next_event()
    assert frames.done
    assert None is frames.deadline()


def test_silence() -> None:
    """A peer of which nothing is heard is given up, and told so."""
    frames = machine()
    frames.receive(write_frame(b"1"), NOW + 10)

    assert NOW + 160 == frames.deadline()

    frames.on_deadline(NOW + 159)

    assert frames.is_open

    frames.on_deadline(NOW + 160)

    assert (4008, "no sign of life") == read_goodbye(frames.output())
    assert frames.done
    assert None is machine(None).deadline()
