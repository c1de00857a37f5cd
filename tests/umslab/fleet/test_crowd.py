# SPDX-License-Identifier: Apache-2.0
"""Several processes are asked as one fleet: each request reaches whom it concerns, and the answers are one."""

from __future__ import annotations

from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import pytest
import trio

from tests.support.lab import open_lab
from umslab.fleet.crowd import Crowd
from umslab.fleet.job import Job, Told
from umslab.fleet.launching import shared_out
from umslab.fleet.processes import run_in_processes
from umslab_agent.fleet.plan import make_plan
from umslab_agent.fleet.scenario import ConstantRate, Flat, Onboard, Scenario, Site
from umslab_runtime.control import ControlError

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from umslab.fleet.steering import Answer

SCENARIO = Scenario(
    devices=400,
    arrivals=ConstantRate(per_second=4),
    sites=(Site(name="a"), Site(name="b")),
    phases=(Onboard(),),
    retry=Flat(seconds=1),
)


@dataclass
class _Watched:
    """A fleet in two processes, and what it tells."""

    answer: Answer
    latest: Told = field(default_factory=Told)
    moved: trio.Event = field(default_factory=trio.Event)

    def told(self, told: Told) -> None:
        if told.levels is not None:
            self.latest = told
            self.moved.set()
            self.moved = trio.Event()

    async def until(self, condition: str, least: int) -> None:
        """Wait until at least so many devices are in a condition."""
        with trio.fail_after(60):
            while (self.latest.levels or {}).get(condition, 0) < least:
                await self.moved.wait()

    async def refusal(self, name: str, **args: Any) -> str:
        """Return why a request is refused."""
        with pytest.raises(ControlError) as caught:
            await self.answer(name, args)
        return str(caught.value)


@asynccontextmanager
async def _two(path: Path) -> AsyncIterator[_Watched]:
    async with open_lab(path, real=True) as lab, trio.open_nursery() as nursery:
        await lab.mass_key()
        job = Job(scenario=SCENARIO, target=str(lab.target), auth_key="mass-key")
        jobs = shared_out(job, 2, local=True, cores=1)
        crowds: list[_Watched] = []
        there = trio.Event()

        @asynccontextmanager
        async def asked(answer: Answer) -> AsyncIterator[None]:
            crowds.append(_Watched(answer))
            there.set()
            yield

        def told(told: Told) -> None:
            crowds[0].told(told)

        async def run() -> None:
            await run_in_processes(make_plan(SCENARIO), jobs, told, asked=asked)

        nursery.start_soon(run)
        await there.wait()
        yield crowds[0]
        nursery.cancel_scope.cancel()


async def test_two_processes_are_steered_as_one(tmp_path: Path) -> None:
    """Paused, a site disconnected, at another rate, resumed: what each does is told of both together."""
    async with _two(tmp_path) as fleet:
        await fleet.until("managed", 3)
        paused = [await fleet.answer("pause", {}) for _ in range(2)]
        broken = await fleet.answer("disconnect", {"who": "a", "seconds": 0.1})
        rate = await fleet.answer("rate", {"per_second": 50})
        resumed = await fleet.answer("resume", {})
        await fleet.until("managed", 400 - paused[0]["to_come"] + 20)
        status = await fleet.answer("status", {})

    assert [True, False] == [one["changed"] for one in paused]
    assert (200, 0.1) == (broken["devices"], broken["seconds"])
    assert 50 == pytest.approx(rate["per_second"])
    assert paused[0]["to_come"] == rate["to_come"] == resumed["to_come"]
    assert (400, 2) == (sum(status["levels"].values()), status["glance"]["processes"])


async def test_one_device_and_sums(tmp_path: Path) -> None:
    """Whichever process has it; counts of both; and sentences for what cannot be."""
    async with _two(tmp_path) as fleet:
        await fleet.until("managed", 3)
        devices = [await fleet.answer("device", {"device": str(index)}) for index in (0, 1, 399)]
        counts = await fleet.answer("counts", {})
        refusals = [
            await fleet.refusal("device", device="400"),
            await fleet.refusal("disconnect", who="c"),
            await fleet.refusal("rate", per_second=-1),
            await fleet.refusal("fly"),
        ]

    assert [0, 1, 399] == [one["index"] for one in devices]
    assert "managed" == devices[1]["condition"]
    assert (400, ["1", "2"]) == (sum(counts["devices"].values()), sorted(counts["processes"]))
    assert "no device '400': indexes are 0 to 399" in refusals[0]
    assert "no device stands at 'c': the sites are a, b" in refusals[1]
    assert "rate: Expected `float` > 0" in refusals[2]
    assert "knows no request" in refusals[3]


async def test_before_they_run() -> None:
    """While one makes keys, nobody is asked anything."""
    crowd = Crowd(
        make_plan(SCENARIO), shared_out(Job(scenario=SCENARIO, target="localhost:1"), 2, local=True, cores=1), _
    )
    crowd.workers[0].latest = Told(levels={"planned": 200})
    with pytest.raises(ControlError, match="does not run yet"):
        await crowd.answer("status", {})


async def test_outside_the_rate_is_everybodys(tmp_path: Path) -> None:
    """Not that of each process: three and three would be six."""
    job = Job(scenario=SCENARIO, target="localhost:1", own=("localhost",))
    crowd = Crowd(make_plan(SCENARIO), shared_out(job, 2, local=True, cores=1), _)
    for worker in crowd.workers:
        worker.latest = Told(levels={"planned": 200})
    with pytest.raises(ControlError, match="at most 5 devices arrive"):
        await crowd.answer("rate", {"per_second": 6})


async def test_an_ended_process_is_told() -> None:
    """With a sentence, at once."""
    crowd = Crowd(make_plan(SCENARIO), [Job(scenario=SCENARIO, target="localhost:1")], _)
    (worker,) = crowd.workers
    worker.latest = Told(levels={"planned": 400})
    worker.over = True
    with pytest.raises(ControlError, match="has ended already"):
        await crowd.answer("status", {})


def _(_: Told) -> None:
    """Nobody listens."""
