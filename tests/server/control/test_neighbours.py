# SPDX-License-Identifier: Apache-2.0
"""Tests of umslab_server.control.neighbours: online checks and scans from the terminal."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import trio

from tests.server.neighbourhood import open_neighbourhood
from tests.server.parts import unit_id
from umslab_runtime.workers import Workers
from umslab_server.automatic import Automatic
from umslab_server.commanding.commands import Commands
from umslab_server.config import ScanConfig
from umslab_server.control.dispatch import Control
from umslab_server.control.neighbours import NeighbourCommands
from umslab_server.reach import Reach
from umslab_server.scan import Scans
from umslab_server.scan_registration import ScanRegistration
from umslab_server.throttle import Throttle, ThrottleRules

from .desk import Desk

if TYPE_CHECKING:
    from pathlib import Path

    from trio.testing import MockClock


async def test_check_and_scan(tmp_path: Path, autojump_clock: MockClock) -> None:
    """Both stream how far they are and end in a report; arguments are checked."""
    async with open_neighbourhood(tmp_path, interval_seconds=60) as here, trio.open_nursery() as nursery:
        office, workers = here.office, Workers(1)
        nursery.start_soon(workers.run)
        commands = Commands(
            office.store, Reach(office.presence), clock=office.clock, workers=workers, host="ums", timeout_seconds=1.0
        )
        scans = Scans(
            office.store,
            here.network.host("ums"),
            config=ScanConfig(),
            reply_host="127.0.0.1",
            clock=office.clock,
            entropy=os.urandom,
            workers=workers,
            registration=ScanRegistration(
                office.store,
                here.network.host("ums"),
                Automatic(office.store, Throttle(ThrottleRules()), enabled=False, clock=office.clock),
                reply_host="127.0.0.1",
                clock=office.clock,
            ),
        )
        desk = Desk(Control(NeighbourCommands(here.checks, scans, commands).table()))
        here.silent.add(2)
        await here.add(1, 2)
        report = await desk.ask("online-check", selector={"everyone": True})

        assert [(one["unit_id"], one["state"]) for one in report["devices"]] == [
            (unit_id(1), "online"),
            (unit_id(2), "offline"),
        ]
        assert {"targets": 2, "reached": 1, "missed": 0} in desk.items
        desk.items.clear()
        scanned = await desk.ask("scan", timeout_seconds=1.0)
        assert ([], 1) == (scanned["devices"], scanned["asked"])
        assert {"addresses": 1, "asked": 1, "found": 0, "ordered": 0, "registered": 0} in desk.items
        assert "not a range" in (await desk.refused("scan", ranges=["x"]))[1]
        assert "which devices" in (await desk.refused("online-check", selector={}))[1]
        await desk.invalid("scan", {"timeout_seconds": 61})
        nursery.cancel_scope.cancel()
