# SPDX-License-Identifier: Apache-2.0
"""Lets a local umslab server command the devices of a fleet, over its control socket."""

from __future__ import annotations

from typing import TYPE_CHECKING

from umslab_runtime.control import ControlError, connect_control

if TYPE_CHECKING:
    from pathlib import Path

    from umslab_agent.fleet.running import Commander
    from umslab_agent.fleet.scenario import CommandWave


def commander(control: Path) -> Commander:
    """Return what gives commands through this socket."""

    async def command(wave: CommandWave, unit_ids: list[str]) -> str:
        if not unit_ids:
            return "no device was managed"
        try:
            async with connect_control(control) as client:
                summary = await client.call(
                    "command.start",
                    command=str(wave.command),
                    selector={"unit_ids": unit_ids, "directory": None, "everyone": False, "view": None},
                    parameters=wave.parameters,
                    retry_at_boot=False,
                    timeout_seconds=wave.within_seconds,
                    parallel=0,
                    delay_seconds=0.0,
                    wait=True,
                )
        except ControlError as error:
            return f"could not be given: {error}"
        return ", ".join(f"{count} {state}" for state, count in sorted(summary["states"].items()))

    return command
