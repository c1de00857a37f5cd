# SPDX-License-Identifier: Apache-2.0
"""Carries a session machine's bytes: one reading task, sends that do not wait, one timer for all.

An idle session costs its TLS state, one parked task and this small object. A send goes out at once when the peer keeps
up; only what it does not take is kept, by a helper task that lives while there is a backlog. A peer that lets the
backlog grow over `MAX_BACKLOG_BYTES`, or does not take it for `write_seconds`, is dropped: memory per peer is bounded.
"""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING

import trio

from umslab_protocol.machines.carrier import Closed
from umslab_protocol.wire.close_codes import CloseCode
from umslab_runtime.defects import guarded

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from umslab_protocol.machines.session import Received, SessionMachine
    from umslab_protocol.wire.messages import Message
    from umslab_runtime.clock import Clock
    from umslab_runtime.defects import OnDefect
    from umslab_runtime.streams import Stream
    from umslab_runtime.timers import Timers

MAX_BACKLOG_BYTES = 1024 * 1024
_LAST_WORDS_SECONDS = 2.0


class SessionPump:
    """One session on one stream; give it a nursery that outlives it."""

    __slots__ = (
        "_backlog",
        "_clock",
        "_machine",
        "_nursery",
        "_on_defect",
        "_stream",
        "_timers",
        "_too_slow",
        "_write_seconds",
    )

    def __init__(
        self,
        machine: SessionMachine,
        stream: Stream,
        *,
        clock: Clock,
        timers: Timers,
        nursery: trio.Nursery,
        write_seconds: float,
        on_defect: OnDefect | None = None,
    ) -> None:
        self._machine = machine
        self._stream = stream
        self._clock = clock
        self._timers = timers
        self._nursery = nursery
        self._write_seconds = write_seconds
        self._on_defect = on_defect
        self._backlog = b""
        self._too_slow = False

    async def run(self, first_bytes: bytes, on_received: Callable[[Received], Awaitable[None]]) -> Closed:
        """Carry the session to its end and tell how it ended.

        `on_received` gets every message, one after the other; while it waits, nothing more is read from the peer. The
        caller closes the stream.
        """
        if first_bytes:
            self._machine.receive(first_bytes, self._clock.monotonic())
        try:
            return await self._carry(on_received)
        finally:
            self._timers.forget(self)

    async def _carry(self, on_received: Callable[[Received], Awaitable[None]]) -> Closed:
        machine = self._machine
        while True:
            while (event := machine.next_event(self._clock.monotonic())) is not None:
                if isinstance(event, Closed):
                    await self._send_rest()
                    return self._name_the_slow(event)
                await on_received(event)
            self.transmit()
            self._timers.watch(self, self._on_defect)
            try:
                data = await self._stream.receive_some()
            except (trio.BrokenResourceError, trio.ClosedResourceError):
                data = b""
            if data:
                machine.receive(data, self._clock.monotonic())
            else:
                machine.receive_eof(self._clock.monotonic())

    def send(self, message: Message) -> None:
        """Send a message; raises `LocalProtocolError` on a session that is closing."""
        self._machine.send(message)
        self.transmit()

    def close(self, code: CloseCode, reason: str) -> None:
        """Begin to close the session."""
        self._machine.close(code, reason, self._clock.monotonic())
        self.transmit()
        self._timers.watch(self, self._on_defect)

    @property
    def is_open(self) -> bool:
        """Whether messages can be sent."""
        return self._machine.is_open

    def transmit(self) -> None:
        """Send the machine's output as far as the peer takes it; never waits."""
        data = self._machine.output()
        if not data:
            return
        if self._backlog:
            self._backlog += data
            if len(self._backlog) > MAX_BACKLOG_BYTES:
                self._drop_slow_peer()
            return
        try:
            taken = self._stream.send_nowait(data)
        except (trio.BrokenResourceError, trio.ClosedResourceError):
            return  # the reading task sees it too, and ends the session
        if taken < len(data):
            self._backlog = data[taken:]
            self._nursery.start_soon(guarded, self._send_backlog, self._on_defect)

    async def _send_backlog(self) -> None:
        try:
            while self._backlog:
                with trio.move_on_after(self._write_seconds) as patience:
                    await self._stream.wait_send_all_might_not_block()
                if patience.cancelled_caught:
                    self._drop_slow_peer()
                    return
                self._backlog = self._backlog[self._stream.send_nowait(self._backlog) :]
        except (trio.BrokenResourceError, trio.ClosedResourceError):
            self._backlog = b""

    def _drop_slow_peer(self) -> None:
        self._too_slow = True
        self._backlog = b""
        self._stream.abort()

    async def _send_rest(self) -> None:
        """Give the last words a moment to leave."""
        self.transmit()
        rest, self._backlog = self._backlog, b""
        if rest:
            with trio.move_on_after(min(_LAST_WORDS_SECONDS, self._write_seconds)):
                with contextlib.suppress(trio.BrokenResourceError, trio.ClosedResourceError):
                    await self._stream.send_all(rest)

    def _name_the_slow(self, event: Closed) -> Closed:
        if self._too_slow:
            return Closed(CloseCode.SLOW_READER, "the peer did not read what it was sent", by_peer=False)
        return event

    # What the timers call.

    def deadline(self) -> float | None:
        """When the machine wants to be woken."""
        return self._machine.deadline()

    def wake(self) -> None:
        """Let the machine act on its deadline."""
        self._machine.on_deadline(self._clock.monotonic())
        self.transmit()
        if self._machine.done:
            # It wakes the reading task, which ends the session.
            self._nursery.start_soon(guarded, self._stream.aclose, self._on_defect)
