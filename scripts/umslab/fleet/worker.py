# SPDX-License-Identifier: Apache-2.0
"""A process of a fleet: reads its job, then the moment to begin, then requests, a line each; tells JSON lines.

The last line that it tells is its report.

When the other end of its standard input is gone, so is whoever wanted the fleet, and it ends.
"""

from __future__ import annotations

import sys
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

import msgspec
import trio

from umslab import logs
from umslab.fleet.job import Answered, Asked, Job, Told
from umslab.fleet.processes import run_here
from umslab.fleet.state import FleetStateError
from umslab_agent.fleet.report import encode_report
from umslab_runtime.control import ControlError
from umslab_runtime.network import ListenError
from umslab_runtime.policy import TargetRefusedError

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from umslab.fleet.steering import Answer


def main() -> None:
    """Do the job on standard input."""
    logs.configure(as_json=False, level="error")
    line = sys.stdin.buffer.readline()
    if line:
        trio.run(_work, msgspec.json.decode(line, type=Job))


async def _work(job: Job) -> None:
    async with trio.open_nursery() as nursery:
        begun = trio.Event()

        async def moment() -> float:
            _tell(Told(ready=True))
            line = await _read_line()
            begun.set()
            return float(line or 0)

        async def take_requests(answer: Answer) -> None:
            await begun.wait()
            while line := await _read_line():
                _tell(Told(answer=await _answered(answer, msgspec.json.decode(line, type=Asked))))
            nursery.cancel_scope.cancel()

        @asynccontextmanager
        async def asked(answer: Answer) -> AsyncIterator[None]:
            nursery.start_soon(take_requests, answer)
            yield

        try:
            report = await run_here(job, _tell, moment=moment, asked=asked)
            _tell(Told(report=msgspec.Raw(encode_report(report).strip())))
        except* (FleetStateError, ListenError, TargetRefusedError, ValueError) as group:
            _tell(Told(error=str(_first(group))))
        nursery.cancel_scope.cancel()


def _first(error: BaseException) -> BaseException:
    """What is at the bottom of a group of errors."""
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return error


async def _read_line() -> str:
    return await trio.to_thread.run_sync(sys.stdin.readline, abandon_on_cancel=True)


async def _answered(answer: Answer, asked: Asked) -> Answered:
    try:
        return Answered(asked.id, await answer(asked.name, asked.args))
    except ControlError as error:
        return Answered(asked.id, error=str(error), code=error.code)
    except Exception as error:  # noqa: BLE001 - a defect in an answer is no reason to end a fleet
        return Answered(asked.id, error=f"a defect of umslab, please report it: {error!r}", code="defect")


def _tell(told: Told) -> None:
    sys.stdout.buffer.write(msgspec.json.encode(told) + b"\n")
    sys.stdout.buffer.flush()


if __name__ == "__main__":
    main()
