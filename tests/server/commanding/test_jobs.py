# SPDX-License-Identifier: Apache-2.0
"""Tests of umslab_server.commanding.jobs: when commands are given, whatever happens to the server."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest
import trio

from tests.server.parts import EPOCH, rendered_logs, unit_id
from umslab_protocol.wire.orders import CommandName
from umslab_server.commanding import jobs
from umslab_server.commanding.executions import Order
from umslab_server.commanding.jobs import Plan
from umslab_server.commanding.selectors import Selector
from umslab_server.errors import RefusedError
from umslab_server.tables import file

from .workshop import EVERYONE, Robot, Workshop, open_workshop

if TYPE_CHECKING:
    from pathlib import Path

    from trio.testing import MockClock

HOUR = 3600.0
DAY = 24 * HOUR


async def create(shop: Workshop, name: str = "nightly", *, selector: Selector = EVERYONE, **plan: Any) -> Any:
    """A job that boots devices."""
    return await shop.jobs.create(name, Order(command=CommandName.REBOOT, selector=selector), Plan(**plan), actor="ann")


async def test_again_and_again(shop: Workshop, autojump_clock: MockClock) -> None:
    """At its date and then in step with it; each run is an execution of the job."""
    (robot,) = await shop.bring(1)
    await create(shop, at=EPOCH + timedelta(hours=3), every_seconds=DAY)
    await trio.sleep(3 * DAY)
    shown = await shop.jobs.show("nightly")

    assert robot.times == [3 * HOUR, 3 * HOUR + DAY, 3 * HOUR + 2 * DAY]
    assert shown.next_run_at == "2026-01-04T03:00:00.000Z"
    assert shown.last_run_at == "2026-01-03T03:00:00.000Z"
    assert [run.states for run in shown.runs] == [{"SUCCESS": 1}] * 3
    assert {run.actor for run in shown.runs} == {"job nightly"}


async def test_once(shop: Workshop, autojump_clock: MockClock) -> None:
    """Without --every it runs once, and stays to be run by hand."""
    (robot,) = await shop.bring(1)
    await create(shop, in_seconds=90)
    await trio.sleep(DAY)
    after = (await shop.jobs.show("nightly")).next_run_at
    await shop.jobs.run_now("nightly", actor="bob")
    await trio.sleep(1)

    assert robot.times == [90.0, DAY]
    assert after is None
    assert [(event.actor, event.data["devices"]) for event in await shop.events("job-run")] == [
        ("server", 1),
        ("bob", 1),
    ]


async def test_several_in_order(shop: Workshop, autojump_clock: MockClock) -> None:
    """The soonest first, also when it was made last."""
    (robot,) = await shop.bring(1)
    await create(shop, "late", in_seconds=200)
    await trio.sleep(10)
    await create(shop, "soon", in_seconds=20)
    await create(shop, "gone", in_seconds=30)
    await create(shop, "off", in_seconds=40)
    await shop.jobs.delete("gone", actor="ann")
    await shop.jobs.enable("off", enabled=False, actor="ann")
    await trio.sleep(1000)

    assert robot.times == [30.0, 200.0]
    assert [job.name for job in await shop.jobs.list_jobs()] == ["late", "off", "soon"]


async def test_disabled_misses_its_runs(shop: Workshop, autojump_clock: MockClock) -> None:
    """What was missed while disabled is not done later; a job that was to run once has nothing left to do."""
    (robot,) = await shop.bring(1)
    await create(shop, "daily", every_seconds=DAY)
    await create(shop, "once", in_seconds=DAY)
    for name in ("daily", "once"):
        await shop.jobs.enable(name, enabled=False, actor="ann")
    await trio.sleep(2.5 * DAY)
    enabled = [await shop.jobs.enable(name, enabled=True, actor="ann") for name in ("daily", "once")]
    await trio.sleep(0.6 * DAY)

    assert [job.next_run_at for job in enabled] == ["2026-01-04T00:00:00.000Z", None]
    assert robot.times == [3 * DAY]
    assert len(await shop.events("job-disabled")) == len(await shop.events("job-enabled")) == 2


async def test_overdue_runs_once(tmp_path: Path, autojump_clock: MockClock) -> None:
    """Runs that were due while there was no server happen once, afterwards; then it is in step again (J4)."""
    async with open_workshop(tmp_path) as shop:
        await shop.add(1)
        await create(shop, every_seconds=HOUR)
        await trio.sleep(60)
    await trio.sleep(5.5 * HOUR)
    async with open_workshop(tmp_path) as shop:
        robot = Robot(1)
        await shop.come(robot)
        await trio.sleep(HOUR)

        assert robot.times == [5.5 * HOUR + 60, 6 * HOUR]
        assert len(await shop.events("job-run")) == 2
        assert await shop.events("job-expired") == []


@pytest.mark.parametrize(("late", "runs"), [(30, 1), (50, 0)])
async def test_expiry(tmp_path: Path, autojump_clock: MockClock, late: float, runs: int) -> None:
    """J4: with an expiry of 40 minutes a run that is later is left out, and planned anew."""
    async with open_workshop(tmp_path, expiry_minutes=40) as shop:
        await shop.add(1)
        await create(shop, every_seconds=2 * HOUR)
    await trio.sleep(2 * HOUR + late * 60)
    async with open_workshop(tmp_path, expiry_minutes=40) as shop:
        await shop.come(robot := Robot(1))
        await trio.sleep(1)
        expired = await shop.events("job-expired")

        assert (len(robot.times), len(expired)) == (runs, 1 - runs)
        assert (await shop.jobs.show("nightly")).next_run_at == "2026-01-01T04:00:00.000Z"
        for event in expired:
            assert event.cause == f"{late * 60:.0f} s late"
            assert event.data["due"] == "2026-01-01T02:00:00.000Z"


async def test_killed_after_the_run_was_written(tmp_path: Path, autojump_clock: MockClock) -> None:
    """The run and the next date are one change: after a crash the execution goes on, and there is no second one."""
    async with open_workshop(tmp_path) as shop:
        await shop.add(1)
        await create(shop, in_seconds=60)
        robot = Robot(1, answers=False)
        await shop.come(robot)
        await trio.sleep(61)
        before = len(robot.heard)
    async with open_workshop(tmp_path) as shop:
        robot.answers = True
        await shop.come(robot)
        await trio.sleep(HOUR)
        (run,) = (await shop.jobs.show("nightly")).runs

        assert before == 1
        assert robot.done == [run.exec_id]
        assert run.states == {"SUCCESS": 1}


async def test_devices_of_now(shop: Workshop, autojump_clock: MockClock) -> None:
    """Who is meant is decided at each run: named devices that went are left out, and nobody at all is no error."""
    first, second = await shop.bring(1, 2)
    await create(shop, selector=Selector(unit_ids=[unit_id(1), unit_id(2)]), every_seconds=HOUR)
    await shop.office.registry.delete(unit_id(1), actor="ann")
    await trio.sleep(HOUR + 1)
    await shop.office.registry.delete(unit_id(2), actor="ann")
    await trio.sleep(HOUR)

    assert (len(first.heard), len(second.heard)) == (0, 1)
    assert [event.data["devices"] for event in await shop.events("job-run")] == [1, 0]
    assert len((await shop.jobs.show("nightly")).runs) == 1
    assert await shop.jobs.run_now("nightly", actor="ann") is None


async def test_cannot_run(shop: Workshop, autojump_clock: MockClock) -> None:
    """What cannot be given any more is told in the feed, and tried again at the next date."""
    values = {"name": "wall.png", "sha256": "ab" * 32, "size": 7, "created_at": ""}
    await shop.execute(file.insert().values(**values))
    (robot,) = await shop.bring(1)
    order = Order(command=CommandName.FILE_TRANSFER, selector=EVERYONE, parameters={"file": "wall.png"})
    await shop.jobs.create("wall", order, Plan(every_seconds=HOUR), actor="ann")
    await shop.execute(file.delete())
    await trio.sleep(HOUR + 1)
    (failed,) = await shop.events("job-failed")
    await shop.execute(file.insert().values(**values))
    await trio.sleep(HOUR)

    assert "there is no file 'wall.png'" in failed.cause
    assert failed.data["next"] == "2026-01-01T02:00:00.000Z"
    assert [heard.parameters["sha256"] for heard in robot.heard] == ["ab" * 32]


async def test_registry_out_of_order(shop: Workshop, autojump_clock: MockClock) -> None:
    """A registry that cannot be written delays a run and loses none."""
    (robot,) = await shop.bring(1)
    await create(shop, in_seconds=60)
    connection = shop.office.store._write_connection
    with rendered_logs():
        connection.exec_driver_sql("PRAGMA query_only = ON")
        await trio.sleep(120)
        connection.exec_driver_sql("PRAGMA query_only = OFF")
        await trio.sleep(30)

    assert len(robot.times) == 1
    assert 120 <= robot.times[0] <= 131


async def test_changed_meanwhile(shop: Workshop, autojump_clock: MockClock, monkeypatch: pytest.MonkeyPatch) -> None:
    """A job that is deleted at the moment of its run does not run."""
    (robot,) = await shop.bring(1)
    await create(shop, in_seconds=60)
    issue = shop.commands.issue

    async def delete_first(*args: Any, **options: Any) -> Any:
        await shop.jobs.delete("nightly", actor="ann")
        return await issue(*args, **options)

    monkeypatch.setattr(shop.commands, "issue", delete_first)
    await trio.sleep(120)

    assert robot.heard == []
    assert await shop.events("job-run", "job-failed") == []
    assert await shop.events("command-started") == []


async def test_bounds(shop: Workshop, monkeypatch: pytest.MonkeyPatch) -> None:
    """No second of a name, and not any number."""
    monkeypatch.setattr(jobs, "MAX_JOBS", 1)
    await create(shop)
    with pytest.raises(RefusedError, match="already"):
        await create(shop)
    with pytest.raises(RefusedError, match="the most there can be"):
        await create(shop, "another")


async def test_every_day(shop: Workshop, autojump_clock: MockClock) -> None:
    """A daily job runs once a day, for weeks."""
    (robot,) = await shop.bring(1)
    await create(shop, every_seconds=DAY)
    await trio.sleep(50 * DAY + 1)

    assert robot.times == [day * DAY for day in range(1, 51)]
