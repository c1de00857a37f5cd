# SPDX-License-Identifier: Apache-2.0
"""Tests of umslab_runtime.executor."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

import pytest
import trio

from umslab_runtime.executor import Executor, InlineExecutor, ThreadExecutor

from .carriers import PATIENCE

if TYPE_CHECKING:
    from collections.abc import Callable


@pytest.fixture(params=[ThreadExecutor, InlineExecutor])
def executor(request: pytest.FixtureRequest) -> Executor:
    """Each kind."""
    make: Callable[[], Executor] = request.param
    return make()


def refuse() -> None:
    """Raise."""
    raise LookupError("not here")


async def test_gives_back_what_the_call_gave(executor: Executor) -> None:
    """A call's result and its exception come out as they are."""
    assert await executor.run(lambda: 42) == 42
    with pytest.raises(LookupError, match="not here"):
        await executor.run(refuse)


async def test_inline_runs_in_this_thread() -> None:
    """The inline executor is the event loop's own thread; the other one is not."""
    here = threading.get_ident()

    assert here == await InlineExecutor().run(threading.get_ident)
    assert here != await ThreadExecutor().run(threading.get_ident)


async def test_inline_can_be_cancelled_before_it_begins() -> None:
    """A task that was cancelled does not begin a call."""
    done: list[int] = []
    with trio.CancelScope() as scope:
        scope.cancel()
        await InlineExecutor().run(lambda: done.append(1))

    assert done == []
    assert scope.cancelled_caught


async def test_threads_are_bounded() -> None:
    """Only as many calls as were allowed run at a time; the others wait their turn."""
    executor = ThreadExecutor(2)
    lock, running, most = threading.Lock(), 0, 0
    both = threading.Barrier(2, timeout=PATIENCE)

    def work() -> None:
        nonlocal running, most
        with lock:
            running += 1
            most = max(most, running)
        both.wait()
        with lock:
            running -= 1

    with trio.fail_after(PATIENCE):
        async with trio.open_nursery() as nursery:
            for _ in range(6):
                nursery.start_soon(executor.run, work)

    assert most == 2


async def test_call_is_never_abandoned_half_way() -> None:
    """A cancellation waits until the call has returned."""
    begun, go_on, done = threading.Event(), threading.Event(), []

    def work() -> None:
        begun.set()
        go_on.wait(PATIENCE)
        done.append(1)

    async def release_later(scope: trio.CancelScope) -> None:
        await trio.to_thread.run_sync(begun.wait, PATIENCE)
        scope.cancel()
        go_on.set()

    with trio.fail_after(PATIENCE):
        async with trio.open_nursery() as nursery:
            with trio.CancelScope() as scope:
                nursery.start_soon(release_later, scope)
                await ThreadExecutor().run(work)
                finished = list(done)
                await trio.lowlevel.checkpoint()

    assert finished == [1]
    assert scope.cancelled_caught
