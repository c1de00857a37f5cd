# SPDX-License-Identifier: Apache-2.0
"""Tests of umslab_server.os11.conversing: what the services are told of a conversation."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any

import pytest

from tests.server.parts import unit_id
from tests.server.pumps import RecordingPump
from tests.support.greeting import hello
from umslab_protocol.machines.carrier import Closed
from umslab_protocol.machines.session import Received
from umslab_protocol.wire.close_codes import CloseCode
from umslab_protocol.wire.messages import Ack
from umslab_server.os11.conversing import converse
from umslab_server.sessions import Admitted, LiveSession

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

END = Closed(CloseCode.NORMAL, "bye", by_peer=True)


class Script(RecordingPump):
    """Delivers what it was given, then ends, well or with an error of ours."""

    __slots__ = ("fails", "messages")

    def __init__(self, *messages: Any, fails: bool = False) -> None:
        super().__init__()
        self.messages = messages
        self.fails = fails

    async def run(self, first_bytes: bytes, on_received: Callable[[Received], Awaitable[None]]) -> Closed:
        """Deliver it."""
        del first_bytes
        for message in self.messages:
            await on_received(Received(message))
        if self.fails:
            raise RuntimeError("defect")
        return END


class Notes:
    """A session service that notes what it is told."""

    def __init__(self) -> None:
        self.told: list[Any] = []
        self.sent: Counter[type] = Counter()

    async def received(self, session: LiveSession, message: Any) -> None:
        """Note a message."""
        del session
        self.told.append(message)

    def left(self, session: LiveSession, closed: Closed) -> None:
        """Note the end."""
        del session
        self.told.append(closed)

    async def admit(self, peer: Any) -> Any:
        """Is not asked."""
        raise NotImplementedError


async def carry(pump: Script, notes: Notes, *, welcome: bool = True) -> Closed:
    """Carry a conversation whose greeting is welcome, or not."""

    async def begin(received: Received) -> LiveSession | None:
        del received
        return LiveSession(Admitted(unit_id(1), os11=True), "s", pump) if welcome else None

    return await converse(pump, notes, begin, lambda session: notes.told.append(session.session_id))


async def test_a_session() -> None:
    """The hello, that it has begun, the rest, and the end."""
    notes, first = Notes(), hello(unit_id(1))
    closed = await carry(Script(first, Ack(re=1)), notes)

    assert closed == END
    assert notes.told == [first, "s", Ack(re=1), END]


async def test_refused() -> None:
    """Who is not let in is no session: nobody is told of it."""
    notes = Notes()
    await carry(Script(hello(unit_id(1))), notes, welcome=False)
    await carry(Script(), notes)

    assert notes.told == []


async def test_a_defect() -> None:
    """The end of a session is told whatever ends it."""
    notes = Notes()
    with pytest.raises(RuntimeError, match="defect"):
        await carry(Script(hello(unit_id(1)), fails=True), notes)

    assert [type(one) for one in notes.told] == [type(hello(unit_id(1))), str, Closed]
