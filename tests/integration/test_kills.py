# SPDX-License-Identifier: Apache-2.0
"""200 devices come on board while the server is killed again and again at moments that nobody chose."""

from __future__ import annotations

import random
import sqlite3
from contextlib import closing
from functools import partial
from typing import TYPE_CHECKING, Any

import pytest
import trio

from tests.support.process import ServerProcess
from umslab.one_device import DeviceOptions, make_device, open_world
from umslab_agent.folder import DeviceFolder
from umslab_agent.persona import derive_persona
from umslab_agent.trust import TrustMode
from umslab_protocol.machines.retrying import RetryPolicy
from umslab_protocol.values.fingerprint import CommunicationToken
from umslab_protocol.values.firmware import DEFAULT_FIRMWARE
from umslab_protocol.values.host_port import HostPort

if TYPE_CHECKING:
    from pathlib import Path

    from umslab_agent.living import Change
    from umslab_agent.onboarding import World

DEVICES = 200
KILLS = 6
SEED = 20261121


class _Fleet:
    """The devices, and how far they are."""

    def __init__(self) -> None:
        self.managed: set[int] = set()
        self.changes = 0
        self._moved = trio.Event()

    def note(self, index: int, change: Change) -> None:
        self.changes += 1
        (self.managed.add if change.managed else self.managed.discard)(index)
        self._moved.set()
        self._moved = trio.Event()

    async def until_changes(self, count: int) -> None:
        while self.changes < count:
            await self._moved.wait()

    async def until_all_managed(self) -> None:
        while len(self.managed) < DEVICES:
            await self._moved.wait()


@pytest.mark.slow
async def test_survives_kills_while_200_devices_come_on_board(tmp_path: Path) -> None:
    """All connected in the end; no key spent twice, no orphan certificate, at most one live certificate a device."""
    server = ServerProcess(tmp_path / "ums")
    chance = random.Random(SEED)
    fleet = _Fleet()
    await trio.to_thread.run_sync(server.start)
    try:
        keys = await server.ask_async("keys.create", {"kind": "one-time", "count": DEVICES})
        with trio.fail_after(240):
            async with open_world() as world, trio.open_nursery() as nursery:
                for index, key in enumerate(keys):
                    nursery.start_soon(_live, world, tmp_path, server, index, key["secret"], fleet)
                for _ in range(KILLS):
                    await fleet.until_changes(fleet.changes + chance.randrange(50, 400))
                    await trio.to_thread.run_sync(server.kill)
                    await trio.to_thread.run_sync(server.start)
                await fleet.until_all_managed()
                devices = await server.ask_async("devices.list", {})
                nursery.cancel_scope.cancel()
        await trio.to_thread.run_sync(server.stop)
    finally:
        server.close()

    assert {"online"} == {device["state"] for device in devices}
    assert len(devices) == DEVICES
    _check_registry(tmp_path / "ums" / "server" / "registry.sqlite")


async def _live(world: World, path: Path, server: ServerProcess, index: int, key: str, fleet: _Fleet) -> None:
    folder = DeviceFolder(path / f"device-{index}")
    folder.path.mkdir()
    persona = derive_persona(SEED, index, firmware=DEFAULT_FIRMWARE)
    options = DeviceOptions(
        target=HostPort("localhost", server.port),
        trust_mode=TrustMode(token=CommunicationToken.parse(server.about["token"])),
        auth_key=key,
        policy=RetryPolicy(first=0.2, most=2.0, onboarding=True),
    )
    await make_device(world, folder, persona, options, partial(fleet.note, index)).run()


def _check_registry(path: Path) -> None:
    with closing(sqlite3.connect(path)) as database:

        def column(query: str) -> list[Any]:
            return [row[0] for row in database.execute(query)]

        assert column("SELECT unit_id FROM certificate WHERE unit_id NOT IN (SELECT unit_id FROM device)") == []
        assert {1} == set(
            column("SELECT count(DISTINCT used_by) FROM auth_key WHERE used_by IS NOT NULL GROUP BY secret")
        )
        assert len(set(column("SELECT used_by FROM auth_key"))) == DEVICES
        assert column("SELECT id FROM auth_key WHERE uses != 1 OR spent_at IS NULL") == []
        live = column("SELECT count(*) FROM certificate WHERE superseded_at IS NULL GROUP BY unit_id")
        assert live == [1] * DEVICES
