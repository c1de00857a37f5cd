# SPDX-License-Identifier: Apache-2.0
"""What a shard tells of itself at one moment."""

from __future__ import annotations

from typing import TYPE_CHECKING

from umslab.fleet.glance import glance
from umslab.fleet.job import Told

if TYPE_CHECKING:
    from umslab_agent.fleet.recorder import Recorder
    from umslab_agent.fleet.running import Fleet


def told_now(recorder: Recorder, fleet: Fleet, now: float, *, closely: bool) -> Told:
    """Return how many devices are where, and when somebody looks `closely`, all that a person wants to see."""
    return Told(
        levels={str(condition): count for condition, count in recorder.levels.items()},
        phase="" if fleet.phase is None else fleet.phase.kind,
        failures=sum(group.count for group in recorder.measured.failures),
        seconds=now - recorder.start,
        glance=glance(recorder, fleet, now) if closely else None,
    )
