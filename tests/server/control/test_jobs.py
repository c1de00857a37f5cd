# SPDX-License-Identifier: Apache-2.0
"""Tests of umslab_server.control.jobs: J3 and J4 from the terminal."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
import trio

from tests.server.commanding.workshop import Workshop, open_workshop
from tests.server.parts import unit_id
from umslab_server.control.dispatch import Control
from umslab_server.control.jobs import JobCommands

from .desk import Desk, numbered

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from trio.testing import MockClock

ALL = {"everyone": True}
REBOOT = {"command": "reboot", "selector": ALL}


@pytest.fixture
async def shop(tmp_path: Path) -> AsyncIterator[Workshop]:
    """The services; a run that is 40 minutes late is left out."""
    async with open_workshop(tmp_path, expiry_minutes=40) as opened:
        yield opened


@pytest.fixture
def desk(shop: Workshop) -> Desk:
    """Control of these services."""
    return Desk(Control(JobCommands(shop.jobs, timeout_seconds=30.0).table()))


async def test_life_of_a_job(shop: Workshop, desk: Desk, autojump_clock: MockClock) -> None:
    """Made, listed, run by plan and by hand, shown with its runs, disabled, enabled, deleted."""
    (robot,) = await shop.bring(1)
    made = await desk.ask("jobs.create", job="nightly", **REBOOT, every_seconds=3600, parallel=5, timeout_seconds=9)
    await trio.sleep(2 * 3600 + 60)
    by_hand = await desk.ask("jobs.run", job="nightly")
    await trio.sleep(1)
    shown = await desk.ask("jobs.show", job="nightly")
    disabled = await desk.ask("jobs.enable", job="nightly", enabled=False)
    await trio.sleep(10 * 3600)
    enabled = await desk.ask("jobs.enable", job="nightly", enabled=True)
    await desk.ask("jobs.delete", job="nightly")

    assert (made["next_run_at"], made["expiry_seconds"]) == ("2026-01-01T01:00:00.000Z", 2400.0)
    assert made["selector"] == {"everyone": True}
    assert [one["actor"] for one in shown["runs"]] == ["ctl", "job nightly", "job nightly"]
    assert shown["runs"][0]["exec_id"] == by_hand["exec_id"]
    assert [one["states"] for one in shown["runs"]] == [{"SUCCESS": 1}] * 3
    assert (disabled["enabled"], enabled["enabled"]) == (False, True)
    assert enabled["next_run_at"] == "2026-01-01T13:00:00.000Z"
    assert len(robot.heard) == 3
    assert await desk.ask("jobs.list") == []


async def test_expiry(desk: Desk) -> None:
    """As the server says, as the job says, or never (J4)."""
    mine = await desk.ask("jobs.create", job="mine", **REBOOT, expiry_seconds=60)
    never = await desk.ask("jobs.create", job="never", **REBOOT, expiry_seconds=None)

    assert [mine["expiry_seconds"], never["expiry_seconds"]] == [60.0, None]


async def test_plans(desk: Desk, autojump_clock: MockClock) -> None:
    """At a date in any zone, after a time, by hand only."""
    at = await desk.ask("jobs.create", job="at", **REBOOT, at="2026-01-01T20:00:00+02:00", every_seconds=60)
    later = await desk.ask("jobs.create", job="in", **REBOOT, in_seconds=90)
    by_hand = await desk.ask("jobs.create", job="by hand", **REBOOT)

    assert at["next_run_at"] == "2026-01-01T18:00:00.000Z"
    assert later["next_run_at"] == "2026-01-01T00:01:30.000Z"
    assert by_hand["next_run_at"] is None


async def test_refusals(shop: Workshop, desk: Desk) -> None:
    """Each in a sentence."""
    await desk.ask("jobs.create", job="taken", **REBOOT)

    async def told(**args: Any) -> str:
        return (await desk.refused("jobs.create", **{"job": "x", **REBOOT, **args}))[1]

    assert "already" in await told(job="taken")
    for bad in ("", " padded ", "x" * 256, "a\nb", "x\n"):
        assert "a job has a name" in await told(job=bad)
    assert "in the past" in await told(at="2025-12-31T00:00:00Z")
    assert "no date" in await told(at="0001-01-01T00:00:00+23:59")
    assert "only once" in await told(at="2027-01-01T00:00:00Z", in_seconds=1)
    assert "which devices" in await told(selector={})
    assert "no device has" in await told(selector={"unit_ids": [unit_id(1)]})
    assert "no view" in await told(selector={"view": "x"})
    assert "needs --param text" in await told(command="message")
    assert [(await desk.refused(f"jobs.{name}", job="x"))[1] for name in ("show", "run", "delete")] == [
        "there is no job 'x': `umslab ctl jobs list` shows all"
    ] * 3
    assert await desk.ask("jobs.run", job="taken") == {"exec_id": None}


BAD: list[tuple[str, dict[str, Any]]] = [
    ("jobs.create", {}),
    ("jobs.create", {"job": "x"}),
    ("jobs.create", {"job": None, **REBOOT}),
    ("jobs.create", {"job": "x", **REBOOT, "at": "tomorrow"}),
    ("jobs.create", {"job": "x", **REBOOT, "at": "2027-01-01T00:00:00"}),
    ("jobs.create", {"job": "x", **REBOOT, "every_seconds": 0.5}),
    ("jobs.create", {"job": "x", **REBOOT, "in_seconds": -1}),
    ("jobs.create", {"job": "x", **REBOOT, "expiry_seconds": 0.5}),
    ("jobs.create", {"job": "x", **REBOOT, "parallel": 1e6}),
    ("jobs.list", {"job": "x"}),
    ("jobs.show", {}),
    ("jobs.enable", {"job": "x"}),
    ("jobs.run", {"job": 1}),
    ("jobs.delete", {}),
]


@pytest.mark.parametrize(("name", "args"), BAD, ids=numbered(BAD))
async def test_bad_arguments(desk: Desk, name: str, args: dict[str, Any]) -> None:
    """Wrong types, unknown and missing names, numbers out of bounds."""
    await desk.invalid(name, args)


async def test_every_command_has_bad_arguments(desk: Desk) -> None:
    """The table above is complete."""
    assert {name for name, _ in BAD} == desk.names("jobs.")
