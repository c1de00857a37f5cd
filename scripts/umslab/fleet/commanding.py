# SPDX-License-Identifier: Apache-2.0
"""Lets a local umslab server command the devices of a fleet, over its control socket."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from umslab_runtime.control import ControlError, connect_control

if TYPE_CHECKING:
    from pathlib import Path

    from umslab_agent.fleet.running import Commander
    from umslab_agent.fleet.scenario import CommandWave

AT_ONCE = 500
"""Unit IDs in one request."""


def commander(control: Path) -> Commander:
    """Return what gives commands through this socket."""

    async def command(wave: CommandWave, unit_ids: list[str]) -> str:
        states: Counter[str] = Counter()
        try:
            async with connect_control(control) as client:
                for first in range(0, len(unit_ids), AT_ONCE):
                    summary = await client.call(
                        "command.start",
                        command=str(wave.command),
                        selector={"unit_ids": unit_ids[first : first + AT_ONCE]},
                        parameters=wave.parameters,
                        timeout_seconds=wave.within_seconds,
                        wait=True,
                    )
                    states.update(summary["states"])
        except ControlError as error:
            return f"could not be given: {error}"
        return ", ".join(f"{count} {state}" for state, count in sorted(states.items())) or "no device was managed"

    return command
