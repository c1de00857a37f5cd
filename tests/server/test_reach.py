# SPDX-License-Identifier: Apache-2.0
"""Tests of umslab_server.reach: sessions of both generations, and who is called."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
import trio
from trio.testing import wait_all_tasks_blocked

from umslab_protocol.wire.close_codes import CloseCode
from umslab_protocol.wire.messages import Deregister
from umslab_runtime.workers import Workers
from umslab_server.presence import Presence
from umslab_server.reach import Reach
from umslab_server.sessions import Admitted, LiveSession

from .parts import unit_id
from .pumps import RecordingPump

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

ONE, TWO = unit_id(1), unit_id(2)


class Phone:
    """Calls devices that answer, and notes whom."""

    def __init__(self, reach: Reach) -> None:
        self.called: list[str] = []
        self._reach = reach

    async def call(self, one: str) -> LiveSession | None:
        """Call a device."""
        self.called.append(one)
        await trio.lowlevel.checkpoint()
        found = session(1, os11=True)
        self._reach.join(found)
        return found


def session(number: int, *, os11: bool = False) -> LiveSession:
    """A session of the device with this number."""
    return LiveSession(Admitted(unit_id(number), os11=os11), f"s{number}", RecordingPump())


def pump(one: LiveSession) -> RecordingPump:
    """What it was sent."""
    assert isinstance(one.pump, RecordingPump)
    return one.pump


@pytest.fixture
async def reach() -> AsyncIterator[Reach]:
    """With one thread that calls."""
    workers = Workers(1)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(workers.run)
        yield Reach(Presence(), workers)
        nursery.cancel_scope.cancel()


async def test_both_generations(reach: Reach) -> None:
    """A session is found whichever it is of; only that of OS 12 is presence."""
    twelve, eleven = session(1), session(2, os11=True)
    reach.join(twelve)
    reach.join(eleven)

    assert (reach.get(ONE), reach.get(TWO)) == (twelve, eleven)
    assert [reach.presence.is_online(one) for one in (ONE, TWO)] == [True, False]
    assert reach.contacts == 1
    assert reach.leave(twelve)
    assert reach.leave(eleven)
    assert (reach.get(ONE), reach.get(TWO)) == (None, None)


async def test_two_contacts(reach: Reach) -> None:
    """A device may be called while it calls: the newest is used, and neither ends the other."""
    older, newer = session(1, os11=True), session(1, os11=True)
    reach.join(older)
    reach.join(newer)

    assert reach.get(ONE) is newer
    assert not reach.leave(older)
    assert (pump(older).closes, pump(newer).closes) == ([], [])


async def test_a_contact_that_is_ending(reach: Reach) -> None:
    """Nothing can be said on it, so the device is called."""
    phone = Phone(reach)
    reach.call = phone.call
    reach.note_os11([ONE])
    ending = session(1, os11=True)
    reach.join(ending)
    ending.close(CloseCode.NORMAL, "all is said")

    assert reach.get(ONE) is None
    assert await reach.session(ONE) is reach.get(ONE)
    assert phone.called == [ONE]


async def test_who_is_called(reach: Reach) -> None:
    """OS 11 devices without a session, and nobody else."""
    phone = Phone(reach)
    reach.call = phone.call
    before = reach.is_worth_trying(ONE), await reach.session(ONE)
    reach.note_os11([ONE])
    found = await reach.session(ONE)

    assert before == (False, None)
    assert reach.is_worth_trying(ONE)
    assert reach.is_called(ONE)
    assert await reach.session(ONE) is found
    assert await reach.session(TWO) is None
    assert phone.called == [ONE]


async def test_called_soon_and_once(reach: Reach) -> None:
    """However many things there are to tell."""
    phone = Phone(reach)
    reach.call = phone.call
    reach.note_os11([ONE])
    for _ in range(3):
        reach.call_soon(ONE)
        reach.call_soon(TWO)
    await wait_all_tasks_blocked()

    assert phone.called == [ONE]


async def test_a_full_queue() -> None:
    """What does not fit is left for the next contact of the device."""
    reach = Reach(Presence(), Workers(1, queue=0))
    reach.note_os11([ONE, TWO])
    for _ in range(2):
        reach.call_soon(ONE)
        reach.call_soon(TWO)

    assert len(reach._wanted) == 1


async def test_deregister(reach: Reach) -> None:
    """In contact: told at once; else by calling."""
    phone = Phone(reach)
    reach.call = phone.call
    reach.note_os11([ONE, TWO])
    contact = session(2, os11=True)
    reach.join(contact)
    reach.deregister(ONE)
    reach.deregister(TWO)
    await wait_all_tasks_blocked()

    assert [type(message) for message in pump(contact).sent] == [Deregister]
    assert phone.called == [ONE]


async def test_refuse_and_close_all(reach: Reach) -> None:
    """Sessions of both generations end; a refused device is not called any more."""
    reach.note_os11([ONE])
    sessions = [session(1, os11=True), session(1), session(2, os11=True), session(2)]
    for one in sessions:
        reach.join(one)
    reach.refuse(ONE, "moved")
    reach.close_all(CloseCode.GOING_AWAY, "stop")

    assert not reach.is_called(ONE)
    assert [pump(one).closes[0][0] for one in sessions] == [
        CloseCode.REFUSED, CloseCode.REFUSED, CloseCode.GOING_AWAY, CloseCode.GOING_AWAY,
    ]  # fmt: skip
