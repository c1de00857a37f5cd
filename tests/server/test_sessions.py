# SPDX-License-Identifier: Apache-2.0
"""Tests of umslab_server.sessions."""

from __future__ import annotations

from umslab_protocol.wire.close_codes import CloseCode
from umslab_protocol.wire.messages import Ack
from umslab_server.sessions import Admitted, LiveSession

from .parts import unit_id
from .pumps import RecordingPump


def test_what_it_knows() -> None:
    """Whose session it is, and what is stored about the device now."""
    session = LiveSession(Admitted(unit_id(1), info_digest="abc"), "s1", RecordingPump())

    assert (session.unit_id, session.session_id, session.info_digest) == (unit_id(1), "s1", "abc")
    assert session.deregister_id is None


def test_sends_while_open() -> None:
    """A message goes to the pump; on a session that is closing it goes nowhere, and nothing is raised."""
    pump = RecordingPump()
    session = LiveSession(Admitted(unit_id(1)), "s1", pump)
    session.send(Ack(re=1))
    session.close(CloseCode.NORMAL, "enough")
    session.send(Ack(re=2))

    assert pump.sent == [Ack(re=1)]
    assert pump.closes == [(CloseCode.NORMAL, "enough")]
