# SPDX-License-Identifier: Apache-2.0
"""The processes of a fleet as the one that started them sees them: what they tell, what they are asked, their end."""

from __future__ import annotations

import contextlib
import signal
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import msgspec
import trio

from umslab.fleet.job import Answered, Asked, Job, Told
from umslab.fleet.joining import add_levels, join, share_rate
from umslab.fleet.steering import (
    NOBODY_TO_COME,
    NOT_YET,
    Rate,
    Which,
    check_rate,
    find_device,
    most_per_second,
    understand,
)
from umslab_agent.fleet.measured import Condition
from umslab_agent.fleet.report import RunReport, decode_report
from umslab_runtime.control import ControlError
from umslab_runtime.mailbox import Reply

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from umslab_agent.fleet.plan import Plan

ANSWER_SECONDS = 20.0
"""That a process has to answer a request."""
GONE = "a process of the fleet has ended already"
_OF_ALL = {"counts"}
"""Requests whose answer is wrong when one process has not given its own."""


class WorkerError(Exception):
    """A process of the fleet could not run; the message says why."""


class Crowd:
    """The workers together: what they tell, added up, and what they are asked, passed on."""

    def __init__(self, plan: Plan, jobs: Sequence[Job], tell: Callable[[Told], None]) -> None:
        """`jobs` are those of the shards of `plan`."""
        self.workers = [Worker(job, self) for job in jobs]
        self._plan = plan
        self._most_per_second = most_per_second(jobs[0])
        self._tell = tell
        self._said: set[str] = set()

    def stop(self) -> None:
        """Let all drain; the second time, stop at once."""
        for worker in self.workers:
            worker.stop()

    def told(self, told: Told) -> None:
        """Pass sentences on, each once; add levels up when the slowest has told its own."""
        if told.say and told.say not in self._said:
            self._said.add(told.say)
            self._tell(Told(say=told.say))
        known = self._latest()
        first = next((worker.latest for worker in self.workers if not worker.over), None)
        if told.levels is not None and len(known) == len(self.workers) and told is first:
            self._tell(add_levels(known))

    async def answer(self, name: str, args: dict[str, Any]) -> dict[str, Any]:
        """Answer a control request for all. Raises `ControlError`."""
        asked = understand(name, args)
        known = self._latest()
        if len(known) < len(self.workers):
            raise ControlError(NOT_YET)
        each: Sequence[dict[str, Any] | None] = [None if worker.lost else args for worker in self.workers]
        if isinstance(asked, Rate):
            check_rate(asked.per_second, self._most_per_second)
            to_come = [(one.levels or {}).get(Condition.PLANNED, 0) for one in known]
            each = share_rate(asked.per_second, to_come)
            if not sum(to_come):
                raise ControlError(NOBODY_TO_COME)
        elif isinstance(asked, Which):
            find_device(self._plan.devices, asked.device)
        answers, errors = await self._ask(name, each)
        if errors and (not answers or name in _OF_ALL):
            raise errors[0]
        if name == "status":
            answers += [msgspec.to_builtins(worker.latest) for worker in self.workers if worker.lost]
        if not answers:
            raise ControlError(GONE, "gone")
        return join(name, answers)

    async def _ask(
        self, name: str, each: Sequence[dict[str, Any] | None]
    ) -> tuple[list[dict[str, Any]], list[ControlError]]:
        answers: dict[int, dict[str, Any]] = {}
        errors: list[ControlError] = []

        async def ask(place: int, args: dict[str, Any]) -> None:
            try:
                answers[place] = await self.workers[place].ask(name, args)
            except ControlError as error:
                errors.append(error)

        async with trio.open_nursery() as nursery:
            for place, args in enumerate(each):
                if args is not None:
                    nursery.start_soon(ask, place, args)
        return [answers[place] for place in sorted(answers)], errors

    def _latest(self) -> list[Told]:
        return [worker.latest for worker in self.workers if worker.latest is not None]


class Worker:
    """One process."""

    def __init__(self, job: Job, crowd: Crowd) -> None:
        self.ready = trio.Event()
        self.report: RunReport | None = None
        self.latest: Told | None = None
        self.over = False
        """It has ended."""
        self.lost = ""
        """Why there is no report, though its devices were under way; empty as long as all is well."""
        self._job = job
        self._crowd = crowd
        self._process: trio.Process | None = None
        self._saying = trio.Lock()
        self._asked: dict[int, Reply[dict[str, Any]]] = {}
        self._requests = 0

    async def start(self) -> None:
        """Start it, and give it its job."""
        # A session of its own: Ctrl-C reaches this process, which passes it on once.
        self._process = await trio.lowlevel.open_process(
            [sys.executable, "-m", "umslab.fleet.worker"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            start_new_session=True,
        )
        await self.say(msgspec.json.encode(self._job))

    async def say(self, line: bytes) -> None:
        """Send it a line."""
        assert self._process is not None and self._process.stdin is not None  # noqa: PT018, S101 - it was started
        async with self._saying:
            with contextlib.suppress(trio.BrokenResourceError):  # it has ended; `listen` tells why
                await self._process.stdin.send_all(line + b"\n")

    async def ask(self, name: str, args: dict[str, Any]) -> dict[str, Any]:
        """Ask it. Raises `ControlError` for what it refuses, and when it is gone or silent."""
        if self.over:
            raise ControlError(GONE, "gone")
        self._requests += 1
        number = self._requests
        reply = self._asked[number] = Reply()
        try:
            with trio.move_on_after(ANSWER_SECONDS):
                await self.say(msgspec.json.encode(Asked(number, name, args)))
                return await reply.get()
        finally:
            del self._asked[number]
        raise ControlError(f"a process of the fleet has not answered for {ANSWER_SECONDS:g} seconds", "gone")

    def stop(self) -> None:
        """Let it drain; the second time, stop at once."""
        if self._process is not None and self._process.returncode is None:
            self._process.send_signal(signal.SIGINT)

    async def listen(self) -> None:
        """Take what it tells, to its end. Raises `WorkerError` when it ends before its devices were under way."""
        process = self._process
        assert process is not None and process.stdout is not None  # noqa: PT018, S101 - it was started
        buffer = bytearray()
        try:
            async for data in process.stdout:
                buffer += data
                *lines, rest = buffer.split(b"\n")
                buffer = rest
                for line in lines:
                    self._told(msgspec.json.decode(line, type=Told))
            code = await process.wait()
        finally:
            self.over = True
            for reply in self._asked.values():
                reply.fail(ControlError(GONE, "gone"))
            await end_process(process)
        if self.report is None:
            self._lose(f"a process of the fleet ended with code {code} and without a report")

    @property
    def devices(self) -> int:
        """How many it has, once they are under way."""
        return 0 if self.latest is None else sum((self.latest.levels or {}).values())

    def _lose(self, why: str) -> None:
        """Go on without it: nobody knows what became of its devices. Raises `WorkerError` when none was under way."""
        if self.latest is None:
            raise WorkerError(why)
        self.lost = f"{why}: its {self.devices} devices are lost"
        self.latest = msgspec.structs.replace(self.latest, levels={Condition.FAILED: self.devices}, glance=None)
        self._crowd.told(Told(say=self.lost))

    def _told(self, told: Told) -> None:
        if told.error:
            raise WorkerError(told.error)
        if told.ready:
            self.ready.set()
        if told.levels is not None:
            self.latest = told
        if told.answer is not None:
            self._answered(told.answer)
        if told.report:
            self.report = decode_report(bytes(told.report))
        self._crowd.told(told)

    def _answered(self, answer: Answered) -> None:
        reply = self._asked.get(answer.id)
        if reply is None:
            return  # whoever asked has gone
        if answer.result is not None:
            reply.put(answer.result)
        else:
            reply.fail(ControlError(answer.error, answer.code))


async def end_process(process: trio.Process) -> None:
    """See to it that a process is gone."""
    with trio.CancelScope(shield=True):
        if process.returncode is None:
            process.kill()
        await process.wait()
        for pipe in (process.stdin, process.stdout):
            if pipe is not None:
                await pipe.aclose()
