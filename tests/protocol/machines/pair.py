# SPDX-License-Identifier: Apache-2.0
"""A device's and a server's session, joined back to back: what one puts out is carried to the other."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.support.greeting import hello
from umslab_protocol.machines.session_device import DeviceSession
from umslab_protocol.machines.session_server import ServerSession, SessionRules
from umslab_protocol.wire.codec import JsonCodec

if TYPE_CHECKING:
    from umslab_protocol.machines.session import SessionEvent, SessionMachine

START = 1000.0
"""The clock does not begin at 0, so that nothing works only there."""
UNIT_ID = "020000000001"


class Pair:
    """Both sessions with what they told their users; time stands still unless `now` is moved."""

    device: SessionMachine
    server: SessionMachine

    def __init__(self, rules: SessionRules | None = None) -> None:
        self.now = START
        self.device = DeviceSession(codec=JsonCodec(), hello=hello(UNIT_ID), now=START)
        self.server = ServerSession(
            codec=JsonCodec(), rules=rules or SessionRules(), server_name="ums-1", session_id="s-1", now=START
        )
        self.device_saw: list[SessionEvent] = []
        self.server_saw: list[SessionEvent] = []

    def carry(self, step: int | None = None) -> Pair:
        """Carry bytes both ways, `step` at a time, until neither side has anything to say."""
        while True:
            from_device, from_server = self.device.output(), self.server.output()
            if not from_device and not from_server:
                return self
            self._feed(self.server, from_device, step, self.server_saw)
            self._feed(self.device, from_server, step, self.device_saw)

    def lose_all(self) -> None:
        """Drop what both sides have put out: the path is dead."""
        self.device.output()
        self.server.output()

    def wake(self) -> None:
        """Let time pass to the next deadline of either side and let whoever is due act."""
        due = [at for at in (self.device.deadline(), self.server.deadline()) if at is not None]
        self.now = max(self.now, min(due))
        self.device.on_deadline(self.now)
        self.server.on_deadline(self.now)
        self.device_saw += drain(self.device, self.now)
        self.server_saw += drain(self.server, self.now)

    def _feed(self, machine: SessionMachine, data: bytes, step: int | None, seen: list[SessionEvent]) -> None:
        size = step or max(1, len(data))
        for at in range(0, len(data), size):
            machine.receive(data[at : at + size], self.now)
            seen += drain(machine, self.now)


def drain(machine: SessionMachine, now: float) -> list[SessionEvent]:
    """Return all events that a session has."""
    events = []
    while (event := machine.next_event(now)) is not None:
        events.append(event)
    return events
