# SPDX-License-Identifier: Apache-2.0
"""Tests of umslab_server.sessions: what is asked of a device is answered once, whatever becomes of the session."""

from __future__ import annotations

from typing import TYPE_CHECKING

from umslab_protocol.wire.close_codes import CloseCode
from umslab_protocol.wire.messages import Ack, Deregister, Error, Result
from umslab_protocol.wire.orders import ResultState
from umslab_server.sessions import MAX_UNANSWERED, Admitted, LiveSession

from .parts import unit_id
from .pumps import RecordingPump

if TYPE_CHECKING:
    from umslab_server.sessions import Answer, OnAnswer


def opened() -> tuple[LiveSession, RecordingPump]:
    """A session and its pump."""
    pump = RecordingPump()
    return LiveSession(Admitted(unit_id(1), info_digest="abc"), "s1", pump), pump


class Asker:
    """Somebody who asks, and keeps what comes back."""

    def __init__(self, session: LiveSession) -> None:
        self.session = session
        self.answers: list[tuple[str, Answer | None]] = []

    def ask(self, name: str, on_answer: OnAnswer | None = None) -> bool:
        """Ask; tells whether it was sent."""
        return self.session.order(
            lambda number: Deregister(id=number, reason=name),
            on_answer or (lambda answer: self.answers.append((name, answer))),
        )


def test_what_it_knows() -> None:
    """Whose session it is, and what is stored about the device now."""
    session, _ = opened()

    assert (session.unit_id, session.session_id, session.info_digest) == (unit_id(1), "s1", "abc")
    assert not session.told_deleted


def test_sends_while_open() -> None:
    """A message goes to the pump; on a session that is closing it goes nowhere, and nothing is raised."""
    session, pump = opened()
    session.send(Ack(re=1))
    session.close(CloseCode.NORMAL, "enough")
    session.send(Ack(re=2))

    assert pump.sent == [Ack(re=1)]
    assert pump.closes == [(CloseCode.NORMAL, "enough")]


def test_each_answer_finds_its_question() -> None:
    """Ids are counted from 1; answers may come in any order and of any kind, each once."""
    session, pump = opened()
    asker = Asker(session)
    sent = [asker.ask(name) for name in ("first", "second", "third")]
    result = Result(re=2, execID="x", state=ResultState.SUCCESS)
    for answer in (Ack(re=3), result, result, Error(code="c", message="m", re=1), Ack(re=3)):
        session.answered(answer)
    session.forsake()

    assert sent == [True] * 3
    assert pump.sent == [Deregister(id=at, reason=name) for at, name in enumerate(("first", "second", "third"), 1)]
    assert asker.answers == [("third", Ack(re=3)), ("second", result), ("first", Error(code="c", message="m", re=1))]


def test_answers_to_nothing() -> None:
    """Before anything was asked, to another id, or to no id at all: they change nothing."""
    session, _ = opened()
    session.answered(Ack(re=1))
    asker = Asker(session)
    asker.ask("it")
    session.answered(Ack(re=2))
    session.answered(Error(code="not-json", message="what?"))

    assert asker.answers == []


def test_a_session_that_ends_answers_with_none() -> None:
    """All who wait are told, once; late answers reach nobody."""
    session, _ = opened()
    asker = Asker(session)
    asker.ask("first")
    asker.ask("second")
    session.forsake()
    session.forsake()
    session.answered(Ack(re=1))

    assert asker.answers == [("first", None), ("second", None)]


def test_nothing_is_asked_of_a_session_that_closes() -> None:
    """The asker is told by the answer to `order`, and by nothing else."""
    session, pump = opened()
    asker = Asker(session)
    session.close(CloseCode.NORMAL, "enough")

    assert not asker.ask("late")
    session.forsake()
    assert (asker.answers, pump.sent) == ([], [])


def test_too_much_unanswered() -> None:
    """A device that leaves 256 messages unanswered is closed; those who waited are told when the session is over."""
    session, pump = opened()
    asker = Asker(session)
    sent = [asker.ask(str(number)) for number in range(MAX_UNANSWERED)]
    session.answered(Ack(re=1))
    sent.append(asker.ask("in place of the answered one"))
    too_many = asker.ask("too many")
    session.forsake()

    assert MAX_UNANSWERED == 256
    assert all(sent)
    assert not too_many
    assert pump.closes == [(CloseCode.POLICY, "256 messages are unanswered")]
    assert len(pump.sent) == 257
    assert len(asker.answers) == 257
    assert "too many" not in dict(asker.answers)


def test_whoever_is_answered_may_ask_again() -> None:
    """From within an answer, also from the one that the end gives: that one is not sent and hears nothing more."""
    session, pump = opened()
    asker = Asker(session)
    asker.ask("first", lambda _: asker.answers.append(("asked", None)) if asker.ask("second") else None)
    session.answered(Ack(re=1))
    asker.ask("third", lambda _: asker.answers.append(("asked", None)) if asker.ask("fourth") else None)
    session.close(CloseCode.NORMAL, "over")
    session.forsake()

    assert [message.reason for message in pump.sent if isinstance(message, Deregister)] == ["first", "second", "third"]
    assert asker.answers == [("asked", None), ("second", None)]
