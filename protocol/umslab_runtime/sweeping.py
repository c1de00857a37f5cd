# SPDX-License-Identifier: Apache-2.0
"""Carries online checks over a UDP endpoint: one task that sends what the window allows and drains what has arrived.

The endpoint is drained at every wake-up, a bounded number of datagrams a turn, so that neither ten thousand answers nor
a flood of forged ones holds up everybody else (measured: one await a datagram is three times as slow).
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import trio

from umslab_runtime.policy import TargetRefusedError
from umslab_runtime.streams import known_address
from umslab_runtime.udp import DatagramError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from umslab_protocol.machines.online_check import CheckEvent, OnlineCheck, Target
    from umslab_runtime.clock import Clock
    from umslab_runtime.udp import UdpEndpoint

SENT_AT_ONCE = 256
"""Probes between two looks at what has arrived."""
RECEIVED_AT_ONCE = 512
"""Datagrams before everybody else gets a turn."""


class Sweeping:
    """Keep `run` running; `sweep` as often as wanted, one after the other."""

    def __init__(
        self, endpoint: UdpEndpoint, check: OnlineCheck, *, clock: Clock, on_event: Callable[[CheckEvent], None]
    ) -> None:
        self.unsent = 0
        """Probes for which there was no room or no way: as lost as those lost on the way."""
        self._endpoint = endpoint
        self._check = check
        self._clock = clock
        self._on_event = on_event
        self._rest = trio.CancelScope()
        self._over = trio.Event()

    async def sweep(self, targets: Iterable[Target]) -> None:
        """Ask them all; returns when each is reached, missed or skipped. Raises `LocalProtocolError`, see `begin`."""
        self._check.begin(targets)
        self._over = trio.Event()
        self._rest.cancel()
        try:
            await self._over.wait()
        except trio.Cancelled:
            self._check.stop()
            raise

    async def run(self) -> None:
        """Send and receive for ever; between two sweeps too, so that late answers are counted."""
        while True:
            self._send()
            self._check.on_deadline(self._clock.monotonic())
            self._tell()
            await self._wait()
            now = self._clock.monotonic()
            for received in self._endpoint.receive_nowait(RECEIVED_AT_ONCE):
                self._check.receive(received.payload, received.source.host, now)
            self._tell()

    async def _wait(self) -> None:
        """Give way; when there is nothing to send, until something has arrived, or until the next deadline."""
        deadline = self._check.deadline()
        with trio.CancelScope(deadline=math.inf if deadline is None else deadline) as self._rest:
            if self._check.has_output:
                await trio.lowlevel.checkpoint()
            else:
                await self._endpoint.until_readable()

    def _send(self) -> None:
        send_to = self._endpoint.send_to
        for question in self._check.output(self._clock.monotonic(), SENT_AT_ONCE):
            payload, (_, host, port), _ = question
            try:
                if not send_to(payload, known_address(host, port)):
                    self.unsent += 1
            except TargetRefusedError as error:
                self._check.withdraw(question, str(error))
            except DatagramError:
                self.unsent += 1

    def _tell(self) -> None:
        for event in self._check.events():
            self._on_event(event)
        if self._check.over:
            self._over.set()
