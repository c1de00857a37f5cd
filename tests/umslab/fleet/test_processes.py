# SPDX-License-Identifier: Apache-2.0
"""Processes of a fleet start together, tell what they do, and one that cannot run ends the others."""

from __future__ import annotations

import os
import signal
import traceback
from contextlib import suppress
from pathlib import Path

import msgspec
import pytest
import trio

from tests.support.lab import open_lab
from umslab.fleet.crowd import WorkerError
from umslab.fleet.job import Job, Told
from umslab.fleet.launching import shared_out
from umslab.fleet.processes import run_here, run_in_processes
from umslab_agent.fleet.plan import make_plan
from umslab_agent.fleet.report import outcome
from umslab_agent.fleet.scenario import AtOnce, Onboard, Scenario, Steady

SCENARIO = Scenario(devices=6, arrivals=AtOnce(), phases=(Onboard(), Steady(seconds=2.5)))


def _children() -> set[int]:
    """Processes that this one has started, in whichever thread."""
    found: set[int] = set()
    for thread in Path("/proc/self/task").iterdir():
        with suppress(OSError):  # it has just ended
            found |= set(map(int, (thread / "children").read_text().split()))
    return found


async def test_two_are_one_fleet(tmp_path: Path) -> None:
    """Levels are added up, sentences told once, all is merged."""
    told: list[Told] = []
    async with open_lab(tmp_path, real=True) as lab:
        await lab.mass_key()
        job = Job(scenario=SCENARIO, target=str(lab.target), auth_key="mass-key")
        jobs = shared_out(job, 2, local=True, cores=1)
        report = await run_in_processes(make_plan(SCENARIO), jobs, told.append)
    levels = [sum(one.levels.values()) for one in told if one.levels is not None]

    assert (6, 6, 2) == (report.measured.devices, report.measured.managed_once, report.shards[0].processes)
    assert ["phase 1: onboard", "phase 2: steady", "phase 3: drain"] == [one.say for one in told if one.say]
    assert levels
    assert {6} == set(levels)


@pytest.mark.parametrize("addresses", [(), ("127.7.7.0/29",)], ids=["each its own", "those of the plan"])
async def test_source_addresses_are_used(tmp_path: Path, addresses: tuple[str, ...]) -> None:
    """Each process calls from an address of its own, or its devices from those that the plan gives them."""
    scenario = Scenario(devices=8, arrivals=AtOnce(), addresses=addresses)
    plan = make_plan(scenario)
    async with open_lab(tmp_path, real=True) as lab:
        await lab.mass_key()
        jobs = shared_out(Job(scenario=scenario, target=str(lab.target), auth_key="mass-key"), 2, local=True, cores=1)
        report = await run_in_processes(plan, jobs, lambda _: None)
        seen = {one.unit_id: one.last_ip for one in await lab.services.registry.list_devices()}
    planned = {
        device.persona.unit_id: device.address or job.source
        for job in jobs
        for device in plan.part(job.shard, job.of).devices
    }

    assert 8 == report.measured.managed_once
    assert planned == seen
    assert (6 if addresses else 2) == len(set(seen.values()))


async def test_one_that_dies_takes_its_own_devices_only(tmp_path: Path) -> None:
    """The others go on to their end, and the report says what is missing in it."""
    scenario = Scenario(devices=6, arrivals=AtOnce(), phases=(Onboard(), Steady(seconds=4)))
    told: list[Told] = []
    killed: list[int] = []
    before = _children()

    def listen(one: Told) -> None:
        told.append(one)
        if not killed and (one.levels or {}).get("managed") == 6:
            killed.append(min(_children() - before))
            os.kill(killed[0], signal.SIGKILL)

    async with open_lab(tmp_path, real=True) as lab:
        await lab.mass_key()
        jobs = shared_out(Job(scenario=scenario, target=str(lab.target), auth_key="mass-key"), 2, local=True, cores=1)
        report = await run_in_processes(make_plan(scenario), jobs, listen)
    last = [one.levels for one in told if one.levels is not None][-1]

    assert ("code -9", "its 3 devices are lost") == tuple(
        words for words in ("code -9", "its 3 devices are lost") if words in report.notes[0]
    )
    assert (6, 3) == (report.measured.devices, report.measured.managed_once)
    assert outcome(report).failed
    assert report.shards[0].interrupted  # thresholds that the others kept do not make it a success
    assert 3 == last["failed"]


async def test_one_that_cannot_run_ends_all(tmp_path: Path) -> None:
    """Its reason is told, and no process is left."""
    before = _children()
    job = Job(scenario=SCENARIO, target="localhost:1")
    broken = msgspec.structs.replace(job, state="/dev/null")
    with trio.fail_after(60), pytest.RaisesGroup(WorkerError, flatten_subgroups=True) as caught:
        await run_in_processes(make_plan(SCENARIO), [job, broken], lambda _: None)

    assert "cannot be used" in "".join(traceback.format_exception(caught.value))
    assert before == _children()


async def test_here_it_begins_when_it_is_told() -> None:
    """The moment is asked for when keys are made; a fleet that meets nobody ends all the same."""
    asked: list[float] = []

    async def moment() -> float:
        asked.append(trio.current_time())
        return 0.0

    scenario = Scenario(devices=2, arrivals=AtOnce(), phases=(Onboard(within_seconds=0.2),))
    report = await run_here(Job(scenario=scenario, target="localhost:1"), lambda _: None, moment=moment)

    assert 1 == len(asked)
    assert (2, 0) == (report.measured.devices, report.measured.managed_once)
