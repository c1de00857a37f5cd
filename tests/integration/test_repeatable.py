# SPDX-License-Identifier: Apache-2.0
"""The same seed gives the same story, with real TLS, in virtual time."""

from __future__ import annotations

from typing import TYPE_CHECKING

import trio

from tests.support.deterministic import run_repeatably
from tests.support.lab import open_lab
from umslab_protocol.machines.device_life import State
from umslab_protocol.values.auth_key import KeyKind
from umslab_protocol.values.unit_id import UnitId

if TYPE_CHECKING:
    from pathlib import Path

DEVICES = 8

Trace = list[tuple[str, str, str | None, str]]


async def _story(path: Path) -> Trace:
    """Onboarding, a server that vanishes, a partition, a deletion; returns what server and devices recorded."""
    trace: Trace = []
    async with open_lab(path, latency=0.02) as lab:
        assert lab.memory is not None
        keys = await lab.services.keys.create(KeyKind.ONE_TIME, count=DEVICES, actor="test")
        devices = [lab.device(f"d{index}", auth_key=key.secret) for index, key in enumerate(keys)]
        for device in devices:
            await device.until_managed()
        await lab.kill_server()
        await trio.sleep(30)
        await lab.start_server()
        await trio.sleep(600)
        lab.memory.partition("ums.lab", "devices")
        await trio.sleep(1_000)
        lab.memory.heal("ums.lab", "devices")
        await trio.sleep(1_000)
        gone = UnitId(devices[0].device.persona.unit_id)
        await lab.services.registry.purge(gone, actor="test")
        await devices[0].until_state(State.RELEASED)
        await trio.sleep(10)
        for event in await lab.services.store.events(0, limit=10_000):
            trace.append((event.at, event.kind, event.unit_id, event.cause))
        for device in devices:
            trace.extend(("device", str(change.state), device.device.persona.unit_id, "") for change in device.changes)
        assert len(lab.services.presence) == DEVICES - 1
    return trace


def test_the_story_is_equal_twice(tmp_path: Path) -> None:
    """Two runs with the same seed have equal event traces, to the millisecond."""
    one = run_repeatably(_story, tmp_path / "one")
    two = run_repeatably(_story, tmp_path / "two")

    assert len(one) > 10 * DEVICES
    assert one == two
