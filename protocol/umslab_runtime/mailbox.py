# SPDX-License-Identifier: Apache-2.0
"""Hand-over between tasks: a bounded queue that is emptied in batches, and an answer that comes later.

They let services wait without importing the event loop.
"""

from __future__ import annotations

from collections import deque
from typing import Generic, TypeVar

import trio

T = TypeVar("T")


class Mailbox(Generic[T]):
    """Many put, one takes as much as is there."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._items: deque[T] = deque()
        self._filled = trio.Event()

    def __len__(self) -> int:
        return len(self._items)

    def put(self, item: T) -> bool:
        """Add an item; False when the box is full."""
        if len(self._items) >= self._most:
            return False
        self._items.append(item)
        self._filled.set()
        return True

    async def take(self, most: int) -> list[T]:
        """Wait for at least one item; return up to `most` in order."""
        await self._filled.wait()
        return self.take_nowait(most)

    def take_nowait(self, most: int) -> list[T]:
        """Return up to `most` items, perhaps none."""
        taken = [self._items.popleft() for _ in range(min(most, len(self._items)))]
        if not self._items:
            self._filled = trio.Event()
        return taken


class Reply(Generic[T]):
    """One answer, given once."""

    __slots__ = ("_error", "_ready", "_value")

    def __init__(self) -> None:
        self._ready = trio.Event()
        self._value: T | None = None
        self._error: BaseException | None = None

    def put(self, value: T) -> None:
        """Answer with a value."""
        self._value = value
        self._ready.set()

    def fail(self, error: BaseException) -> None:
        """Answer with an error, which `get` raises."""
        self._error = error
        self._ready.set()

    async def get(self) -> T:
        """Wait for the answer. Cancelling the wait does not undo what was asked for."""
        await self._ready.wait()
        if self._error is not None:
            raise self._error
        return self._value  # type: ignore[return-value]
