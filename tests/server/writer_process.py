# SPDX-License-Identifier: Apache-2.0
"""A process that changes a registry as fast as it can and prints each number that was acknowledged; to be killed."""

from __future__ import annotations

import sys
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING

import trio

from umslab_runtime.clock import SystemClock
from umslab_runtime.executor import ThreadExecutor
from umslab_server.store import Store

if TYPE_CHECKING:
    from collections.abc import Iterator

    from umslab_server.store import Writer


async def main(path: str, start: str) -> None:
    """Write events numbered from `start` on, sixteen at a time."""
    threads = ThreadExecutor(2)
    store = Store(Path(path), clock=SystemClock(), writer=threads, reader=threads, keep_events=1_000_000)
    store.open()
    numbers = count(int(start))
    async with trio.open_nursery() as nursery:
        nursery.start_soon(store.run)
        for _ in range(16):
            nursery.start_soon(_write, store, numbers)


async def _write(store: Store, numbers: Iterator[int]) -> None:
    for number in numbers:

        def work(writer: Writer, number: int = number) -> None:
            writer.event("written", actor="test", number=number)

        await store.change(work)
        sys.stdout.write(f"{number}\n")
        sys.stdout.flush()


if __name__ == "__main__":
    trio.run(main, sys.argv[1], sys.argv[2])
