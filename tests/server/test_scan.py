# SPDX-License-Identifier: Apache-2.0
"""Tests of umslab_server.scan: the service, on the memory network."""

from __future__ import annotations

import os
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
import trio

from tests.protocol.machines.test_scan import ANSWER
from tests.server.parts import Office, open_office, unit_id
from umslab_protocol.wire.probes import PROBE_PORT, read_probe, write_scan_answer
from umslab_runtime.net_memory import MemoryNetwork
from umslab_runtime.net_trio import TrioNetwork
from umslab_runtime.streams import Address
from umslab_runtime.workers import Workers
from umslab_server import registry
from umslab_server.automatic import Automatic
from umslab_server.config import ScanConfig
from umslab_server.errors import RefusedError
from umslab_server.importing import ImportedDevice
from umslab_server.scan import Scans
from umslab_server.scan_registration import ScanRegistration
from umslab_server.scan_report import ScanProgress, ScanWish
from umslab_server.throttle import Throttle, ThrottleRules

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from trio.testing import MockClock

    from umslab_runtime.network import Network
    from umslab_server.store import Writer


class _Watcher:
    def __init__(self) -> None:
        self.seen: list[ScanProgress] = []

    async def note(self, progress: ScanProgress) -> None:
        await trio.lowlevel.checkpoint()
        self.seen.append(progress)


async def _device(network: MemoryNetwork, number: int) -> None:
    endpoint = await network.host(f"device {number}").udp("", PROBE_PORT)
    while True:
        received = await endpoint.receive()
        probe = read_probe(received.payload)
        answer = write_scan_answer(replace(ANSWER, nonce=probe.nonce, unit_id=unit_id(number)))
        endpoint.send_to(answer, Address(received.source.host, probe.reply_port))


@asynccontextmanager
async def _scans(path: Path, network: Network, **config: float) -> AsyncIterator[tuple[Scans, Office]]:
    workers = Workers(1)
    async with open_office(path) as office, trio.open_nursery() as nursery:
        nursery.start_soon(workers.run)
        automatic = Automatic(office.store, Throttle(ThrottleRules()), enabled=False, clock=office.clock)
        scans = Scans(
            office.store,
            network,
            config=ScanConfig(**config),  # type: ignore[arg-type]
            reply_host="127.0.0.1",
            clock=office.clock,
            entropy=os.urandom,
            workers=workers,
            registration=ScanRegistration(office.store, network, automatic, reply_host="127.0.0.1", clock=office.clock),
        )
        yield scans, office
        nursery.cancel_scope.cancel()


async def test_scan_finds_exactly_who_is_there_and_tells_how_they_are_known(
    tmp_path: Path, autojump_clock: MockClock
) -> None:
    """Known, imported, in the bin, new; progress meanwhile, one event afterwards."""
    network, watcher = MemoryNetwork(latency=0.1), _Watcher()
    async with trio.open_nursery() as nursery, _scans(tmp_path, network.host("ums")) as (scans, office):
        for number in (1, 2, 3, 4):
            nursery.start_soon(_device, network, number)

        def work(writer: Writer) -> None:
            for number in (1, 3):
                registry.insert(writer, unit_id(number), registered_at=writer.stamp)
            registry.update(writer, unit_id(3), binned_at=writer.stamp)
            writer.event("device-registered", actor="test")

        await office.store.change(work)
        await office.registry.import_devices([ImportedDevice(unit_id=unit_id(2))], actor="test")
        report = await scans.scan(ScanWish(), actor="me", on_progress=watcher.note)

        assert [(one.unit_id, one.known) for one in report.devices] == [
            (unit_id(1), "known"),
            (unit_id(2), "never-registered"),
            (unit_id(3), "in-bin"),
            (unit_id(4), "new"),
        ]
        assert trio.current_time() == pytest.approx(6.0, abs=0.1)
        assert ScanProgress(1, 1, 4) in watcher.seen
        (event,) = await office.events("scanned")
        assert (event.actor, event.data) == ("me", {"asked": 1, "found": 4, "new": 1})
        nursery.cancel_scope.cancel()


async def test_one_scan_at_a_time_and_the_next_after_it(tmp_path: Path, autojump_clock: MockClock) -> None:
    """Also when nobody waits for the first any more."""
    async with _scans(tmp_path, MemoryNetwork().host("ums")) as (scans, _):
        with trio.move_on_after(1):
            await scans.scan(ScanWish(), actor="me", on_progress=_Watcher().note)
        with pytest.raises(RefusedError, match="under way"):
            await scans.scan(ScanWish(), actor="me", on_progress=_Watcher().note)
        await trio.sleep(6)
        wish = ScanWish(timeout_seconds=0.1)
        assert (await scans.scan(wish, actor="me", on_progress=_Watcher().note)).devices == []


async def test_what_cannot_be_scanned(tmp_path: Path) -> None:
    """A broadcast outside of a namespace, a reply port that is taken."""
    taken = await TrioNetwork().udp("127.0.0.1", 0)
    async with _scans(tmp_path, TrioNetwork(), timeout_seconds=0.1, reply_port=taken.address.port) as (scans, _):
        with pytest.raises(RefusedError, match="is in use"):
            await scans.scan(ScanWish(ranges=["127.0.0.1"]), actor="me", on_progress=_Watcher().note)
        taken.close()
        with pytest.raises(RefusedError, match="only inside a network namespace"):
            await scans.scan(ScanWish(), actor="me", on_progress=_Watcher().note)
