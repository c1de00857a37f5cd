# SPDX-License-Identifier: Apache-2.0
"""How the process that makes the load fares: processor, event loop, memory, descriptors."""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import TYPE_CHECKING

import trio

from umslab_agent.fleet.recorder import Health

if TYPE_CHECKING:
    from umslab_agent.fleet.recorder import Recorder

PERIOD = 0.5
_PAGE = os.sysconf("SC_PAGE_SIZE")
_MEMORY = Path("/proc/self/statm")
_DESCRIPTORS = Path("/proc/self/fd")


async def watch_health(recorder: Recorder) -> None:
    """Look twice a second, for ever; the event loop's lag is how late the look comes."""
    due = trio.current_time()
    spent, looked = time.process_time(), time.perf_counter()
    while True:
        due += PERIOD
        await trio.sleep_until(due)
        now = trio.current_time()
        cpu, at = time.process_time(), time.perf_counter()
        busy = (cpu - spent) / max(at - looked, 1e-6)
        recorder.sampled(Health(cpu=busy, lag=now - due, memory=resident_bytes(), descriptors=open_descriptors()), now)
        spent, looked, due = cpu, at, max(due, now - PERIOD)


def resident_bytes() -> int:
    """The process's resident memory."""
    return int(_MEMORY.read_text(encoding="ascii").split()[1]) * _PAGE


def open_descriptors() -> int:
    """How many descriptors are open: Linux tells as the size of the folder since 6.2; before, it is 0."""
    return _DESCRIPTORS.stat().st_size
