# SPDX-License-Identifier: Apache-2.0
"""A window of unanswered messages: who sends to thousands waits a little while too many answers are outstanding.

Without it the answers of all come back at once, and the event loop serves nobody else meanwhile. It is a courtesy and
no promise: peers that do not answer are written off after `patience` seconds, and hold up nobody for longer.
"""

from __future__ import annotations

import trio


class Window:
    """`sent` gives a ticket, `answered` takes it back, `room` waits."""

    def __init__(self, most: int, patience: float) -> None:
        self._most = most
        self._patience = patience
        self._generation = 0
        self._open = 0
        self._less = trio.Event()

    @property
    def outstanding(self) -> int:
        """Messages whose answers are waited for."""
        return self._open

    def sent(self) -> int:
        """Count a message."""
        self._open += 1
        return self._generation

    def answered(self, ticket: int) -> None:
        """Count its answer, or that there will be none; one that was written off counts no more."""
        if ticket == self._generation:
            self._open -= 1
            self._less.set()

    async def room(self) -> None:
        """Wait until one more may be sent."""
        with trio.move_on_after(self._patience) as waiting:
            while self._open >= self._most:
                self._less = trio.Event()
                await self._less.wait()
                waiting.deadline = trio.current_time() + self._patience  # somebody answers: go on being patient
        if self._open >= self._most:
            self._generation += 1
            self._open = 0
