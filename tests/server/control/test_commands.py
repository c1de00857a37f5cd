# SPDX-License-Identifier: Apache-2.0
"""Tests of umslab_server.control.commands: J1-J3 and J7 from the terminal."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
import trio

from tests.server.commanding.workshop import Robot, Workshop, open_workshop
from tests.server.parts import unit_id
from umslab_protocol.wire.orders import CommandName
from umslab_server.commanding.executions import Order
from umslab_server.commanding.jobs import Jobs, Plan
from umslab_server.commanding.selectors import Selector
from umslab_server.control.commands import CommandCommands
from umslab_server.control.dispatch import Control

from .desk import Desk, numbered

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from trio.testing import MockClock

ONE, TWO = unit_id(1), unit_id(2)
ALL = {"everyone": True}


@pytest.fixture
async def shop(tmp_path: Path) -> AsyncIterator[Workshop]:
    """The services."""
    async with open_workshop(tmp_path) as opened:
        yield opened


@pytest.fixture
def desk(shop: Workshop) -> Desk:
    """Control of these services."""
    return Desk(Control(CommandCommands(shop.commands, clock=shop.office.clock).table()))


async def test_results_as_they_come(shop: Workshop, desk: Desk, autojump_clock: MockClock) -> None:
    """First the execution, then each device, in the end how many are how."""
    _, late, _ = await shop.bring(1, 2, 3)
    await shop.add(4)
    late.answers = False
    summary = await desk.ask(
        "command.start", command="message", selector=ALL, parameters={"text": "hi"}, timeout_seconds=20
    )
    first, *tasks = desk.items

    assert first == {"exec_id": summary["exec_id"], "devices": 4}
    assert [(one.unit_id, one.state, one.message) for one in tasks[-1:]] == [(TWO, "FAILED", "no result within 20 s")]
    assert {one.state for one in tasks[:-1]} == {"SUCCESS", "FAILED"}
    assert summary["states"] == {"FAILED": 2, "SUCCESS": 2}
    assert summary["finished_at"] == "2026-01-01T00:00:20.000Z"
    assert (summary["command"], summary["parameters"], summary["actor"]) == ("message", {"text": "hi"}, "ctl")


async def test_no_wait_for_a_boot(shop: Workshop, desk: Desk) -> None:
    """What is kept for the next boot is told, and not waited for."""
    await shop.add(1)
    summary = await desk.ask("command.start", command="reboot", selector=ALL, retry_at_boot=True)

    assert [one.state for one in desk.items[1:]] == ["at-next-boot"]
    assert (summary["states"], summary["finished_at"]) == ({"at-next-boot": 1}, None)


async def test_followed_by_others(shop: Workshop, desk: Desk, autojump_clock: MockClock) -> None:
    """Whoever comes later is told what was before, and then the rest as it comes; each result once."""
    _, late = await shop.bring(1, 2)
    await shop.add(3)
    late.answers = False
    given = await desk.ask("command.start", command="reboot", selector=ALL, timeout_seconds=20, wait=False)
    other, impatient = Desk(desk.control), Desk(desk.control)
    await trio.sleep(5)
    left = await impatient.ask("command.follow", exec_id=given["exec_id"], within_seconds=1)
    summary = await other.ask("command.follow", exec_id=given["exec_id"])
    at = trio.current_time()
    again = Desk(desk.control)
    await again.ask("command.follow", exec_id=given["exec_id"])

    assert other.items[0] == {"exec_id": given["exec_id"], "devices": 3}
    assert [(one.unit_id, one.state) for one in other.items[1:]] == [
        (ONE, "SUCCESS"),
        (unit_id(3), "FAILED"),
        (TWO, "FAILED"),
    ]
    assert at == 20.0
    assert summary["states"] == {"FAILED": 2, "SUCCESS": 1}
    assert [one.unit_id for one in impatient.items[1:]] == [ONE, unit_id(3)]
    assert left["states"] == {"FAILED": 1, "SUCCESS": 1, "sent": 1}
    assert sorted(one.unit_id for one in again.items[1:]) == [ONE, TWO, unit_id(3)]


async def test_following_what_is_not_kept(shop: Workshop, desk: Desk, autojump_clock: MockClock) -> None:
    """Results that a job does not keep are told as long as the command is under way."""
    (robot,) = await shop.bring(1)
    robot.answers = False
    jobs = Jobs(shop.office.store, shop.commands, clock=shop.office.clock, expiry_minutes=None)
    order = Order(command=CommandName.REBOOT, selector=Selector(everyone=True), timeout_seconds=20.0)
    await jobs.create("once", order, Plan(), actor="ann", keep_results=False)
    exec_id = await jobs.run_now("once", actor="ann")
    summary = await desk.ask("command.follow", exec_id=exec_id)

    assert [one.state for one in desk.items[1:]] == ["FAILED"]
    assert summary["states"] == {"FAILED": 1}
    assert "no execution" in (await desk.refused("command.follow", exec_id=exec_id))[1]


async def test_waiting_has_an_end(shop: Workshop, desk: Desk, autojump_clock: MockClock) -> None:
    """Not at all, or not longer than was asked for; the command goes on."""
    (robot,) = await shop.bring(1)
    robot.answers = False
    at_once = await desk.ask("command.start", command="reboot", selector=ALL, wait=False)
    items = len(desk.items)
    for_a_while = await desk.ask("command.start", command="reboot", selector=ALL, within_seconds=5)

    assert items == 0
    assert [sum(one["states"].values()) for one in (at_once, for_a_while)] == [1, 1]
    assert for_a_while["states"] == {"sent": 1}
    assert trio.current_time() == 5.0


async def test_list_results_cancel(shop: Workshop, desk: Desk) -> None:
    """Newest first; one with all its devices; given up."""
    await shop.add(1)
    first = await desk.ask("command.start", command="shutdown", selector={"unit_ids": [ONE]}, retry_at_boot=True)
    second = await desk.ask("command.start", command="suspend", selector={"unit_ids": [ONE]})
    cancelled = await desk.ask("command.cancel", exec_id=first["exec_id"])
    results = await desk.ask("command.results", exec_id=first["exec_id"])
    await shop.results(first["exec_id"])
    listed = await desk.ask("command.list", limit=1)

    assert cancelled == {"cancelled": 1}
    assert [task["unit_id"] for task in results["tasks"]] == [ONE]
    assert [one["exec_id"] for one in listed] == [second["exec_id"]]
    assert (await shop.told(first["exec_id"])) == [("FAILED", "cancelled by ctl")]


async def test_refusals(shop: Workshop, desk: Desk) -> None:
    """Each in a sentence that says what to do."""
    await shop.bring(1)

    assert await desk.refused("command.start", command="reboot", selector={}) == (
        "refused",
        "which devices? name unit IDs, or use --dir, --all or --view",
    )
    assert (
        "no device has the unit ID"
        in (await desk.refused("command.start", command="reboot", selector={"unit_ids": [TWO]}))[1]
    )
    assert (
        "is not a unit ID" in (await desk.refused("command.start", command="reboot", selector={"unit_ids": ["x"]}))[1]
    )
    assert "needs --param text" in (await desk.refused("command.start", command="message", selector=ALL))[1]
    assert "no execution 'x'" in (await desk.refused("command.results", exec_id="x"))[1]
    assert "no execution 'x'" in (await desk.refused("command.cancel", exec_id="x"))[1]


async def test_robot_is_asked_once(shop: Workshop, desk: Desk) -> None:
    """Nothing of a refused command reaches a device."""
    robot = Robot(1)
    await shop.add(1)
    await shop.come(robot)
    await desk.refused("command.start", command="reboot", selector={"unit_ids": [ONE, TWO]})
    await desk.ask("command.start", command="reboot", selector={"unit_ids": [ONE]})

    assert len(robot.heard) == 1


BAD: list[tuple[str, dict[str, Any]]] = [
    ("command.start", {}),
    ("command.start", {"command": "explode", "selector": ALL}),
    ("command.start", {"command": "reboot", "selector": "all"}),
    ("command.start", {"command": "reboot", "selector": {"all": True}}),
    ("command.start", {"command": "reboot", "selector": {"directory": ""}}),
    ("command.start", {"command": "reboot", "selector": ALL, "timeout_seconds": 0}),
    ("command.start", {"command": "reboot", "selector": ALL, "timeout_seconds": 1e9}),
    ("command.start", {"command": "reboot", "selector": ALL, "parallel": -1}),
    ("command.start", {"command": "reboot", "selector": ALL, "delay_seconds": -1}),
    ("command.start", {"command": "message", "selector": ALL, "parameters": {"text": "x" * 2001}}),
    ("command.start", {"command": "message", "selector": ALL, "parameters": {"text": 1}}),
    ("command.start", {"command": "reboot", "selector": ALL, "parameters": {str(n): "" for n in range(33)}}),
    ("command.list", {"limit": -1}),
    ("command.results", {}),
    ("command.cancel", {"exec_id": None}),
    ("command.follow", {"exec_id": "x", "within_seconds": -1}),
]


@pytest.mark.parametrize(("name", "args"), BAD, ids=numbered(BAD))
async def test_bad_arguments(desk: Desk, name: str, args: dict[str, Any]) -> None:
    """Wrong types, unknown and missing names, numbers out of bounds."""
    await desk.invalid(name, args)


async def test_every_command_has_bad_arguments(desk: Desk) -> None:
    """The table above is complete."""
    assert {name for name, _ in BAD} == desk.names("command.")
