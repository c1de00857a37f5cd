# SPDX-License-Identifier: Apache-2.0
"""Tests of umslab_server.commanding.executions: what was given and what became of it, as rows."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pytest
import trio

from tests.server.parts import unit_id
from umslab_protocol.wire.orders import CommandName
from umslab_server.commanding import executions
from umslab_server.errors import RefusedError
from umslab_server.tables import execution

if TYPE_CHECKING:
    from trio.testing import MockClock

    from .workshop import Workshop


async def test_execution_id(shop: Workshop) -> None:
    """15.4: `ID-<server host>-<n>-<epoch ms>-<n>-0`, each its own."""
    await shop.bring(1)
    ids = [await shop.start() for _ in range(3)]

    assert all(re.fullmatch(r"ID-ums\.lab-\d+-\d{13}-\d+-0", one) for one in ids)
    assert len(set(ids)) == 3


async def test_list(shop: Workshop, autojump_clock: MockClock) -> None:
    """Newest first, with states; as many as were asked for."""
    await shop.bring(1)
    await shop.add(2)
    first = await shop.start(1)
    second = await shop.start(parallel=3, delay=0.5, timeout=7, retry_at_boot=True)
    await trio.sleep(1)
    listed = await shop.commands.list_executions()

    assert [one.exec_id for one in listed] == [second, first]
    assert [one.states for one in listed] == [{"SUCCESS": 1, "at-next-boot": 1}, {"SUCCESS": 1}]
    assert [one.devices for one in listed] == [2, 1]
    assert [one.finished_at is None for one in listed] == [True, False]
    assert (listed[0].parallel, listed[0].delay_seconds, listed[0].timeout_seconds) == (3, 0.5, 7.0)
    assert listed[0].retry_at_boot
    assert [one.exec_id for one in await shop.commands.list_executions(1)] == [second]


async def test_show(shop: Workshop) -> None:
    """With each device, in order; or that there is none."""
    await shop.bring(2, 1)
    exec_id = await shop.start(command=CommandName.MESSAGE, parameters={"text": "hi"})
    await shop.results(exec_id)
    view, tasks = await shop.commands.results(exec_id)

    assert (view.parameters, view.states) == ({"text": "hi"}, {"SUCCESS": 2})
    assert [one.unit_id for one in tasks] == [unit_id(1), unit_id(2)]
    with pytest.raises(RefusedError, match="there is no execution 'x'"):
        await shop.commands.results("x")


async def test_prune(shop: Workshop) -> None:
    """The oldest that are over go first, whole; what is open stays."""
    await shop.add(1, 2)
    open_one = await shop.start(1, retry_at_boot=True)
    others = [await shop.start() for _ in range(3)]
    await shop.results(others[-1])
    gone = await shop.change(lambda writer: executions.prune(writer.connection, 3))
    left = [one.exec_id for one in await shop.commands.list_executions()]

    assert gone == 4
    assert left == [others[2], open_one]
    assert await shop.change(lambda writer: executions.prune(writer.connection, 99)) == 2
    assert await shop.count(execution) == 1


async def test_nothing_is_written_when_refused(shop: Workshop) -> None:
    """Bad parameters leave no trace."""
    await shop.add(1)
    with pytest.raises(RefusedError):
        await shop.start(command=CommandName.MESSAGE)

    assert await shop.count(execution) == await shop.count() == 0
    assert await shop.events("command-started") == []
