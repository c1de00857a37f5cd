# SPDX-License-Identifier: Apache-2.0
"""Tests of umslab_server.presence."""

from __future__ import annotations

from umslab_protocol.wire.close_codes import CloseCode
from umslab_protocol.wire.messages import Ack, Deregister, Error
from umslab_server.presence import Presence
from umslab_server.sessions import Admitted, LiveSession

from .parts import unit_id
from .pumps import RecordingPump


def session(number: int) -> tuple[LiveSession, RecordingPump]:
    """A session of the device with this number, and its pump."""
    pump = RecordingPump()
    return LiveSession(Admitted(unit_id(number)), f"s{number}", pump), pump


def test_join_and_leave() -> None:
    """A device is online from its first session's greeting to its end."""
    presence = Presence()
    one, _ = session(1)
    two, _ = session(2)
    presence.join(one)
    presence.join(two)
    both = set(presence)
    left = presence.leave(one)

    assert both == {one, two}
    assert left
    assert len(presence) == 1
    assert [presence.is_online(unit_id(number)) for number in (1, 2)] == [False, True]


def test_newest_wins() -> None:
    """The older session is told why it ends, and its end changes nothing; joining twice is joining once."""
    presence = Presence()
    older, older_pump = session(1)
    newer, newer_pump = session(1)
    presence.join(older)
    presence.join(older)
    presence.join(newer)

    assert older_pump.closes == [(CloseCode.REPLACED, "a newer session of this device took over")]
    assert newer_pump.closes == []
    assert not presence.leave(older)
    assert presence.is_online(unit_id(1))
    assert presence.leave(newer)
    assert not presence.leave(newer)


def deregistrations(pump: RecordingPump) -> list[int]:
    """The ids under which a device was told that it was deleted."""
    return [message.id for message in pump.sent if isinstance(message, Deregister)]


def test_the_session_of_a_device() -> None:
    """For whoever wants to tell it something; None when it is away."""
    presence = Presence()
    one, _ = session(1)
    presence.join(one)

    assert presence.get(unit_id(1)) is one
    assert presence.get(unit_id(2)) is None


def test_sessions_may_leave_while_they_are_counted() -> None:
    """Whoever goes through all of them sees those of the beginning."""
    presence = Presence()
    for number in range(3):
        presence.join(session(number)[0])
    for one in presence:
        presence.leave(one)

    assert len(presence) == 0


def test_deregister_is_said_once() -> None:
    """However often a device is found deleted, it is told once, also without ever having joined."""
    presence = Presence()
    one, one_pump = session(1)
    two, two_pump = session(2)
    stranger, stranger_pump = session(3)
    presence.join(one)
    presence.join(two)
    presence.deregister(unit_id(1))
    presence.deregister(unit_id(1))
    presence.tell_deleted(one)
    presence.tell_deleted(stranger)
    presence.deregister(unit_id(4))

    assert [deregistrations(pump) for pump in (one_pump, two_pump, stranger_pump)] == [[1], [], [1]]
    assert [each.told_deleted for each in (one, two, stranger)] == [True, False, True]


def test_only_an_acknowledgement_is_one() -> None:
    """`on_deregistered` hears of it once; an error, or the end of the session, is no acknowledgement."""
    presence = Presence()
    heard: list[LiveSession] = []
    presence.on_deregistered = heard.append
    sessions = [session(number)[0] for number in (1, 2, 3)]
    for one in sessions:
        presence.tell_deleted(one)
    sessions[0].answered(Ack(re=1))
    sessions[0].answered(Ack(re=1))
    sessions[1].answered(Error(code="busy", message="later", re=1))
    for one in sessions:
        one.forsake()

    assert heard == [sessions[0]]


def test_nobody_listens() -> None:
    """A presence of its own does not mind."""
    presence = Presence()
    one, _ = session(1)
    presence.tell_deleted(one)
    one.answered(Ack(re=1))

    assert one.told_deleted


def test_refuse() -> None:
    """One device's session is closed with a reason; a device that is away needs none."""
    presence = Presence()
    one, one_pump = session(1)
    two, two_pump = session(2)
    presence.join(one)
    presence.join(two)
    presence.refuse(unit_id(1), "stolen")
    presence.refuse(unit_id(3), "stolen")

    assert one_pump.closes == [(CloseCode.REFUSED, "stolen")]
    assert two_pump.closes == []


def test_close_all() -> None:
    """Every session, each once."""
    presence = Presence()
    pumps = []
    for number in range(3):
        one, pump = session(number)
        presence.join(one)
        pumps.append(pump)
    presence.close_all(CloseCode.GOING_AWAY, "bye")

    assert [pump.closes for pump in pumps] == [[(CloseCode.GOING_AWAY, "bye")]] * 3


def test_os_11_devices_are_online_when_they_answered_the_last_check() -> None:
    """Unknown before; what a check could not find out is unknown again; a session counts in any case."""
    presence, one = Presence(), unit_id(1)
    assert (presence.is_online(one), presence.is_known(one), presence.why_unchecked(one)) == (False, False, "")
    presence.note_checked(one, 0.25)
    assert (presence.is_online(one), presence.answered_in(one)) == (True, 0.25)
    presence.note_checked(one, None)
    assert (presence.is_online(one), presence.is_known(one)) == (False, True)
    presence.note_unchecked(one, "no way")
    assert (presence.is_online(one), presence.is_known(one), presence.why_unchecked(one)) == (False, False, "no way")
    older, _ = session(1)
    presence.join(older)
    assert (presence.is_online(one), presence.is_known(one)) == (True, True)


def test_devices_that_are_not_asked_any_more_are_forgotten() -> None:
    """So memory holds no more than the registry."""
    presence = Presence()
    for number in (1, 2, 3):
        presence.note_checked(unit_id(number), 0.1)
    presence.note_unchecked(unit_id(3), "why")
    presence.keep_checked({unit_id(2)})

    assert [presence.is_known(unit_id(number)) for number in (1, 2, 3)] == [False, True, False]
    assert presence.why_unchecked(unit_id(3)) == ""
