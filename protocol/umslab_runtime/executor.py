# SPDX-License-Identifier: Apache-2.0
"""Where blocking work runs: a bounded worker thread on the real network, inline under the memory network.

Trio's autojump clock runs on while a worker thread works, so virtual time needs the inline one.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, TypeVar

import trio

if TYPE_CHECKING:
    from collections.abc import Callable

T = TypeVar("T")


class Executor(ABC):
    """Runs blocking or long-computing calls."""

    @abstractmethod
    async def run(self, call: Callable[[], T]) -> T:
        """Return what the call returns, or raise what it raises. Never abandons a call half way."""


class ThreadExecutor(Executor):
    """Worker threads, at most `threads` at a time."""

    def __init__(self, threads: int = 1) -> None:
        self._limiter = trio.CapacityLimiter(threads)

    async def run(self, call: Callable[[], T]) -> T:
        """Run in a worker thread; a cancellation takes effect when the call has returned."""
        with trio.CancelScope(shield=True):
            return await trio.to_thread.run_sync(call, limiter=self._limiter)
        raise AssertionError("a shielded scope is not left early")


class InlineExecutor(Executor):
    """The event loop's own thread: deterministic, and as blocking as the call is."""

    async def run(self, call: Callable[[], T]) -> T:
        """Run at once."""
        await trio.lowlevel.checkpoint()
        return call()
