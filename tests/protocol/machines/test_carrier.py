# SPDX-License-Identifier: Apache-2.0
"""Tests of umslab_protocol.machines.carrier: what both carriers promise, with each talking to its like."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from umslab_protocol.errors import LocalProtocolError
from umslab_protocol.machines.carrier import Closed, MessageReceived, short_reason
from umslab_protocol.machines.frames import FrameMachine
from umslab_protocol.machines.websocket import KeepAlive, Role, WebSocketMachine
from umslab_protocol.wire.close_codes import CloseCode

if TYPE_CHECKING:
    from umslab_protocol.machines.carrier import Carrier

NOW = 50.0
MOST = 70_000


def websockets() -> tuple[Carrier, Carrier]:
    """A client and a server."""
    alive = KeepAlive(ping_after=None, answer_within=0.0)
    return (
        WebSocketMachine(Role.CLIENT, max_message_bytes=MOST, keep_alive=alive, now=NOW),
        WebSocketMachine(Role.SERVER, max_message_bytes=MOST, keep_alive=alive, now=NOW),
    )


def frames() -> tuple[Carrier, Carrier]:
    """Two that are alike."""
    return (
        FrameMachine(max_message_bytes=MOST, silent_after=None, now=NOW),
        FrameMachine(max_message_bytes=MOST, silent_after=None, now=NOW),
    )


Pair = tuple["Carrier", "Carrier"]


@pytest.fixture(params=[websockets, frames])
def pair(request: pytest.FixtureRequest) -> Pair:
    """Two that talk to each other."""
    made: Pair = request.param()
    return made


def carry(source: Carrier, target: Carrier, now: float = NOW) -> list[MessageReceived | Closed]:
    """Carry what one has put out to the other; return what that tells."""
    target.receive(source.output(), now)
    found = []
    while (event := target.next_event()) is not None:
        found.append(event)
    return found


def test_messages(pair: Pair) -> None:
    """Whole, in order, as big as allowed, and a sign of life."""
    one, other = pair
    payloads = [b"{}", b"x" * MOST, "ü".encode()]
    for payload in payloads:
        one.send_text(payload)

    assert [MessageReceived(payload) for payload in payloads] == carry(one, other, NOW + 3)
    assert NOW + 3 == other.heard_at
    assert b"" == one.output()


def test_closing(pair: Pair) -> None:
    """Who begins waits for the answer; both tell it once, with code and reason."""
    one, other = pair
    one.close(CloseCode.GOING_AWAY, "x" * 200, NOW)
    one.close(CloseCode.NORMAL, "again", NOW)

    assert (False, False) == (one.is_open, one.done)
    with pytest.raises(LocalProtocolError):
        one.send_text(b"{}")
    assert [Closed(1001, "x" * 123, by_peer=True)] == carry(one, other)
    assert [Closed(1001, "x" * 123, by_peer=False)] == carry(other, one)
    assert (True, True) == (one.done, other.done)
    assert (None, None) == (one.deadline(), other.deadline())


def test_nobody_answers_the_goodbye(pair: Pair) -> None:
    """After five seconds it is over all the same."""
    one, _ = pair
    one.close(CloseCode.NORMAL, "", NOW)
    one.on_deadline(NOW + 4)

    assert (NOW + 5, False) == (one.deadline(), one.done)

    one.on_deadline(NOW + 5)

    assert Closed(1000, "", by_peer=False) == one.next_event()
    assert (None, True) == (one.next_event(), one.done)


def test_too_big(pair: Pair) -> None:
    """One byte more than allowed ends the conversation."""
    one, other = pair
    one.send_text(b"x" * (MOST + 1))
    (closed,) = carry(one, other)

    assert isinstance(closed, Closed)
    assert (CloseCode.TOO_BIG, False) == (closed.code, closed.by_peer)
    assert other.done


def test_the_connection_breaks(pair: Pair) -> None:
    """What was said before counts, then the end without a goodbye."""
    one, other = pair
    one.send_text(b"{}")
    other.receive(one.output(), NOW)
    other.receive_eof(NOW)

    assert not other.is_open
    assert other.done
    assert MessageReceived(b"{}") == other.next_event()
    assert Closed(1006, "the connection ended without a goodbye", by_peer=True) == other.next_event()
    assert None is other.next_event()


def test_reasons_are_cut_between_characters() -> None:
    """123 bytes at most, and still UTF-8."""
    assert "ü" * 61 == short_reason("ü" * 100)
    assert "short" == short_reason("short")
