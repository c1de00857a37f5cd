# SPDX-License-Identifier: Apache-2.0
"""A process of a fleet: reads its job and then the moment to begin, a line each; tells JSON lines, the last a report.

When the other end of its standard input is gone, so is whoever wanted the fleet, and it ends.
"""

from __future__ import annotations

import sys

import msgspec
import trio

from umslab import logs
from umslab.fleet.job import Job, Told
from umslab.fleet.processes import run_here
from umslab.fleet.state import FleetStateError
from umslab_agent.fleet.report import encode_report


def main() -> None:
    """Do the job on standard input."""
    logs.configure(as_json=False, level="error")
    line = sys.stdin.buffer.readline()
    if line:
        trio.run(_work, msgspec.json.decode(line, type=Job))


async def _work(job: Job) -> None:
    async with trio.open_nursery() as nursery:

        async def moment() -> float:
            _tell(Told(ready=True))
            line = await trio.to_thread.run_sync(sys.stdin.readline, abandon_on_cancel=True)
            nursery.start_soon(_until_alone, nursery.cancel_scope)
            return float(line or 0)

        try:
            report = await run_here(job, _tell, moment=moment)
            _tell(Told(report=msgspec.Raw(encode_report(report).strip())))
        except (FleetStateError, ValueError) as error:
            _tell(Told(error=str(error)))
        nursery.cancel_scope.cancel()


async def _until_alone(scope: trio.CancelScope) -> None:
    while await trio.to_thread.run_sync(sys.stdin.readline, abandon_on_cancel=True):
        pass
    scope.cancel()


def _tell(told: Told) -> None:
    sys.stdout.buffer.write(msgspec.json.encode(told) + b"\n")
    sys.stdout.buffer.flush()


if __name__ == "__main__":
    main()
