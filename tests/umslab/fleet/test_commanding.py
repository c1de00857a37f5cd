# SPDX-License-Identifier: Apache-2.0
"""A local server is asked to command; what it answers is a sentence, also when it is not there."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any

import trio

from umslab.fleet.commanding import commander
from umslab_agent.fleet.scenario import CommandWave
from umslab_protocol.wire.orders import CommandName
from umslab_runtime.control import ControlServer, open_control_listener

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

WAVE = CommandWave(command=CommandName.MESSAGE, parameters={"text": "hello"}, within_seconds=9)


async def test_devices_are_commanded(tmp_path: Path) -> None:
    """By their unit IDs, in one execution, with what the phase says."""
    asked: list[tuple[str, dict[str, Any]]] = []

    async def handle(name: str, args: dict[str, Any], emit: Callable[[Any], object]) -> Any:
        asked.append((name, args))
        return {"states": {"SUCCESS": 2, "FAILED": 1}}

    async with open_control_listener(tmp_path / "c.sock") as (listener, path), trio.open_nursery() as nursery:
        nursery.start_soon(ControlServer(handle).serve, listener)
        said = await commander(path)(WAVE, ["02AA", "02BB", "02CC"])
        nothing = await commander(path)(WAVE, [])
        nursery.cancel_scope.cancel()
    ((name, args),) = asked

    assert ("1 FAILED, 2 SUCCESS", "no device was managed") == (said, nothing)
    assert ("command.start", "message", {"text": "hello"}, 9) == (
        name,
        args["command"],
        args["parameters"],
        args["timeout_seconds"],
    )
    assert Counter(["02AA", "02BB", "02CC"]) == Counter(args["selector"]["unit_ids"])


async def test_nobody_to_ask(tmp_path: Path) -> None:
    """Said, and the run goes on."""
    assert "could not be given: no server answers" in await commander(tmp_path / "none.sock")(WAVE, ["02AA"])
