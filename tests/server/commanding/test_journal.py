# SPDX-License-Identifier: Apache-2.0
"""Tests of umslab_server.commanding.journal: many states share a change, and none is lost."""

from __future__ import annotations

from typing import TYPE_CHECKING

import trio
from trio.testing import MockClock, wait_all_tasks_blocked

from tests.server.parts import fill_disk, free_disk, rendered_logs, unit_id
from umslab_protocol.wire.orders import CommandName
from umslab_server.commanding import journal
from umslab_server.commanding.executions import Order
from umslab_server.commanding.jobs import Plan
from umslab_server.commanding.selectors import Selector
from umslab_server.tables import execution

from .workshop import EVERYONE, open_workshop

if TYPE_CHECKING:
    from pathlib import Path

    import pytest

    from .workshop import Workshop


async def test_few_changes(shop: Workshop, monkeypatch: pytest.MonkeyPatch) -> None:
    """A thousand commands need few commits."""
    batches: list[int] = []
    work = shop.commands.journal._work

    def count(batch: list[journal.Record]) -> object:
        batches.append(len(batch))
        return work(batch)

    monkeypatch.setattr(shop.commands.journal, "_work", count)
    await shop.bring(*range(1, 201))
    exec_id = await shop.start()

    assert await shop.states(exec_id) == ["SUCCESS"] * 200
    assert sum(batches) == 400
    assert len(batches) < 20


async def test_nothing_leaves_while_the_disk_is_full(shop: Workshop, autojump_clock: MockClock) -> None:
    """What cannot be marked as sent is not sent, and has failed; that is written when there is room again."""
    await shop.add(1)
    exec_id = await shop.start(1, retry_at_boot=True)
    await wait_all_tasks_blocked()
    (robot,) = await shop.bring(2)
    second = await shop.start(2, delay=1)
    robot.answers = True
    await shop.results(second)
    connection = shop.office.store._write_connection
    heard = len(robot.heard)
    with rendered_logs():
        third = await shop.commands.issue(
            Order(command=CommandName.REBOOT, selector=Selector(unit_ids=[unit_id(2)])), actor="ann"
        )
        connection.exec_driver_sql("PRAGMA query_only = ON")
        await trio.sleep(5)
        connection.exec_driver_sql("PRAGMA query_only = OFF")
        await trio.sleep(5)

    assert third is not None
    (told,) = await shop.told(third.exec_id)
    assert told[0] == "FAILED"
    assert told[1].startswith("nothing was sent: the registry could not be written")
    assert len(robot.heard) == heard
    assert await shop.states(exec_id) == ["at-next-boot"]


async def test_results_wait_for_room(shop: Workshop, autojump_clock: MockClock) -> None:
    """A result that cannot be written is written later, once."""
    (robot,) = await shop.bring(1)
    robot.before = lambda _: fill_disk(shop.office.store)
    with rendered_logs():
        exec_id = await shop.start(1)
        shop.office.store._write_connection.exec_driver_sql("PRAGMA query_only = OFF")
        await trio.sleep(3)
        free_disk(shop.office.store)
        await trio.sleep(3)

    assert await shop.told(exec_id) == [("SUCCESS", "done")]
    assert len(await shop.events("command-result")) == 1


async def test_oldest_results_go(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Finished tasks are bounded, also over a restart; newer ones stay."""
    monkeypatch.setattr(journal, "KEPT_TASKS", 10)
    monkeypatch.setattr(journal, "_PRUNED_AT_ONCE", 4)
    async with open_workshop(tmp_path) as shop:
        await shop.add(1, 2)
        for _ in range(4):
            await shop.results(await shop.start())
        assert await shop.count() == 8
    async with open_workshop(tmp_path) as shop:
        counts = []
        for _ in range(4):
            await shop.results(await shop.start())
            counts.append(await shop.count())
        newest = (await shop.commands.list_executions(1))[0]

        assert counts == [10, 6, 8, 10]
        assert newest.states == {"FAILED": 2}
        assert shop.commands.journal._finished == await shop.count()


async def test_results_that_are_not_kept(shop: Workshop) -> None:
    """J3, "log results": without it nothing stays of a job's run but the events."""
    await shop.bring(1)
    order = Order(command=CommandName.REBOOT, selector=EVERYONE)
    await shop.jobs.create("quiet", order, Plan(), actor="ann", keep_results=False)
    await shop.jobs.run_now("quiet", actor="ann")
    await wait_all_tasks_blocked()

    assert await shop.count() == await shop.count(execution) == 0
    assert [event.data["state"] for event in await shop.events("command-result")] == ["SUCCESS"]
    assert shop.commands.journal._finished == 0
