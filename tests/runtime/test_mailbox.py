# SPDX-License-Identifier: Apache-2.0
"""Tests of umslab_runtime.mailbox."""

from __future__ import annotations

import pytest
import trio
from trio.testing import wait_all_tasks_blocked

from umslab_runtime.mailbox import Mailbox, Reply


async def test_taken_in_order_and_in_batches() -> None:
    """What was put in is taken out in order, as much at a time as was asked for."""
    box: Mailbox[int] = Mailbox(10)
    for item in range(5):
        assert box.put(item)

    assert await box.take(3) == [0, 1, 2]
    assert len(box) == 2
    assert await box.take(3) == [3, 4]
    assert box.take_nowait(3) == []


async def test_full_box_refuses() -> None:
    """A full box says so at once and keeps what it has."""
    box: Mailbox[int] = Mailbox(1)

    assert [box.put(1), box.put(2)] == [True, False]
    assert box.take_nowait(9) == [1]
    assert box.put(3)


async def test_take_waits_for_the_first_item() -> None:
    """Taking from an empty box waits, as often as the box is empty."""
    box: Mailbox[int] = Mailbox(3)
    taken: list[list[int]] = []

    async def take_twice() -> None:
        taken.append(await box.take(9))
        taken.append(await box.take(9))

    async with trio.open_nursery() as nursery:
        nursery.start_soon(take_twice)
        for item in (1, 2):
            await wait_all_tasks_blocked()
            box.put(item)

    assert taken == [[1], [2]]


async def test_reply_reaches_everybody_who_waits() -> None:
    """An answer is given once and read as often as anybody wants, before or after it came."""
    reply: Reply[str] = Reply()
    heard: list[str] = []

    async def listen() -> None:
        heard.append(await reply.get())

    async with trio.open_nursery() as nursery:
        nursery.start_soon(listen)
        nursery.start_soon(listen)
        await wait_all_tasks_blocked()
        reply.put("yes")

    assert heard == ["yes", "yes"]
    assert await reply.get() == "yes"


async def test_failed_reply_raises() -> None:
    """An answer may be an error, and None is an answer like any other."""
    failed: Reply[None] = Reply()
    failed.fail(LookupError("gone"))
    empty: Reply[None] = Reply()
    empty.put(None)

    with pytest.raises(LookupError, match="gone"):
        await failed.get()
    await empty.get()
