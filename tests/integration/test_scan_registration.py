# SPDX-License-Identifier: Apache-2.0
"""Devices that wait to be found: a scan of the server finds them, orders them to register, they come (O4, A6)."""

from __future__ import annotations

import os
from contextlib import AsyncExitStack, asynccontextmanager
from typing import TYPE_CHECKING

import msgspec
import pytest
import trio

from tests.support.lab import SERVER, Lab, LabDevice, live, open_lab, quick_config
from umslab.one_device import DeviceOptions, Finding, load_persona, make_device
from umslab_agent.discovery import Source
from umslab_agent.nearby import Whereabouts, open_nearby
from umslab_agent.onboarding import World
from umslab_agent.os11.device import Os11Settings
from umslab_agent.trust import TrustMode
from umslab_certs.keys import KeyType
from umslab_protocol.machines.device_life import State
from umslab_protocol.machines.retrying import RetryPolicy
from umslab_protocol.values.firmware import DEFAULT_FIRMWARE, DEFAULT_OS11_FIRMWARE
from umslab_protocol.values.unit_id import UnitId
from umslab_protocol.wire.codec import JsonCodec
from umslab_protocol.wire.probes import is_register_order
from umslab_runtime.executor import InlineExecutor
from umslab_server.config import EnrolmentConfig
from umslab_server.configuration.rule_matching import Criteria
from umslab_server.errors import RefusedError
from umslab_server.scan_report import ScanProgress, ScanReport, ScanWish

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from trio.testing import MockClock

UNITS = {11: UnitId("020000000011"), 12: UnitId("020000000012")}
RANGES = ["127.3.0.11", "127.3.0.12"]


class _Listener:
    """Hears how far a scan is."""

    def __init__(self) -> None:
        self.heard: list[ScanProgress] = []

    async def hear(self, progress: ScanProgress) -> None:
        """Take it."""
        self.heard.append(progress)
        await trio.lowlevel.checkpoint()


async def _scan(
    lab: Lab, *register: UnitId, all_new: bool = False, by_rules: bool = False, listener: _Listener | None = None
) -> ScanReport:
    wish = ScanWish(
        ranges=RANGES, register=list(register), register_all_new=all_new, by_rules=by_rules, timeout_seconds=1
    )
    return await lab.services.scans.scan(wish, actor="me", on_progress=(listener or _Listener()).hear)


def _results(report: ScanReport) -> dict[str, str]:
    return {one.unit_id: "registered" if one.registered else one.why for one in report.registrations}


async def _until_event(lab: Lab, kind: str) -> None:
    """Wait until the feed has an event of this kind, which may be there already."""
    store = lab.services.store
    while kind not in {event.kind for event in await store.events(0)}:
        await store.feed.beyond(store.feed.value)


@asynccontextmanager
async def _device(
    lab: Lab, os: int, *, sources: tuple[Source, ...] = (Source.STORED, Source.SCAN), retries: bool = False
) -> AsyncIterator[LabDevice]:
    """A device that has no UMS, at an address of its own."""
    assert lab.memory is not None
    address = f"127.3.0.{os}"
    network = lab.memory.host(address)
    folder = lab.folder(str(os))
    folder.path.mkdir(parents=True)
    options = DeviceOptions(
        target=None,
        trust_mode=TrustMode(),
        firmware=DEFAULT_OS11_FIRMWARE if os == 11 else DEFAULT_FIRMWARE,
        unit_id=UNITS[os],
        finding=Finding(sources=sources),
        policy=RetryPolicy(onboarding=retries),
        os11=Os11Settings(key_type=KeyType.P256, listen=address, push_port=0) if os == 11 else None,
    )
    device = LabDevice(folder)
    async with open_nearby(network, Whereabouts(address=address, wake_port=None), checked=os == 11) as nearby:
        world = World(
            network=network,
            clock=lab.clock,
            executor=InlineExecutor(),
            contexts=lab.contexts,
            codec=JsonCodec(),
            host=lab.host,
            entropy=_entropy,
        )
        device.device = make_device(  # type: ignore[assignment]
            world,
            folder,
            load_persona(folder, options),
            options,
            device.note,
            on_happening=device.happened,
            nearby=nearby,
        )
        lab.nursery.start_soon(live, device)
        yield device
        device.power_off()
        await device.over.wait()


def _entropy(size: int) -> bytes:
    return os.urandom(size)


@pytest.mark.parametrize("os", [11, 12])
async def test_found_ordered_registered_managed(tmp_path: Path, autojump_clock: MockClock, os: int) -> None:
    """Automatic registration is off; nobody told the device where the UMS is; afterwards it does not wait any more."""
    async with open_lab(tmp_path) as lab, _device(lab, os) as device:
        await device.until_happening("waiting until a UMS finds this device")
        report = await _scan(lab, UNITS[os])
        await device.until_managed()
        again = await _scan(lab, UNITS[os])

        assert {UNITS[os]: "registered"} == _results(report)
        view = await lab.services.registry.show(UNITS[os])
        assert str(os) == view.generation
        assert {UNITS[os]: "it is registered already, here or elsewhere"} == _results(again)
        assert [(True, "known")] == [(one.has_ums, one.known) for one in again.devices]


async def test_all_new_ones(tmp_path: Path, autojump_clock: MockClock) -> None:
    """Both generations at once; a unit ID that is not there is said so."""
    async with open_lab(tmp_path) as lab, AsyncExitStack() as stack:
        devices = [await stack.enter_async_context(_device(lab, os)) for os in (11, 12)]
        for device in devices:
            await device.until_happening("waiting until a UMS finds this device")
        report = await _scan(lab, UnitId("0200000000FF"), all_new=True)
        for device in devices:
            await device.until_managed()

        expected: dict[str, str] = dict.fromkeys(UNITS.values(), "registered")
        assert expected | {"0200000000FF": "the scan has not found it"} == _results(report)


async def test_not_over_tcp(tmp_path: Path, autojump_clock: MockClock) -> None:
    """The device heeds orders of those who scanned over UDP."""
    async with open_lab(tmp_path) as lab:
        wish = ScanWish(ranges=RANGES, register=[UNITS[12]], over_tcp=True)
        with pytest.raises(RefusedError, match="without --tcp"):
            await lab.services.scans.scan(wish, actor="me", on_progress=_Listener().hear)


async def test_orders_that_were_lost_are_given_again(tmp_path: Path, autojump_clock: MockClock) -> None:
    """Two packets are lost; the third makes the device come."""
    async with open_lab(tmp_path) as lab, _device(lab, 12) as device:
        assert lab.memory is not None
        lost: list[bytes] = []
        listener = _Listener()

        def loses(payload: bytes) -> bool:
            if not is_register_order(payload) or len(lost) == 2:
                return False
            lost.append(payload)
            return True

        lab.memory.datagrams.loses = loses
        await device.until_happening("waiting until a UMS finds this device")
        report = await _scan(lab, UNITS[12], listener=listener)

        assert ({UNITS[12]: "registered"}, 2) == (_results(report), len(lost))
        assert [(2, 2, 1, 1, 0)] * 3 + [(2, 2, 1, 1, 1)] == listener.heard[-4:]


@pytest.mark.parametrize("os", [11, 12])
async def test_an_answer_that_was_lost(tmp_path: Path, autojump_clock: MockClock, os: int) -> None:
    """The network breaks when the device is registered and not told: it asks again with what it has, and is in."""
    event = {11: "os11-registered", 12: "device-enrolled"}[os]
    async with open_lab(tmp_path) as lab, _device(lab, os, retries=True) as device:
        assert lab.memory is not None
        lab.nursery.start_soon(_scan, lab, UNITS[os])
        await _until_event(lab, event)
        lab.memory.reset(SERVER, f"127.3.0.{os}")
        await device.until_state(State.WAITING)
        await device.until_managed()

        certificates = (await lab.services.registry.show(UNITS[os])).certificates
        assert {11: 0, 12: 1}[os] == len(certificates)


async def test_waits_for_approval_over_a_restart_of_the_server(tmp_path: Path, autojump_clock: MockClock) -> None:
    """The person who scans is told; the device asks with new tokens until it is approved, hours later."""
    config = msgspec.structs.replace(quick_config(), enrolment=EnrolmentConfig(approval="manual"))
    async with open_lab(tmp_path, config=config) as lab, _device(lab, 12) as device:
        await device.until_happening("waiting until a UMS finds this device")
        first = await _scan(lab, UNITS[12])
        await trio.sleep(1800)
        again = await _scan(lab, UNITS[12])
        await lab.stop_server()
        await lab.start_server()
        await trio.sleep(1800)
        await lab.services.approvals.approve([UNITS[12]], actor="anna")
        await device.until_managed()

        told = f"it has come, and waits for approval: umslab ctl approve {UNITS[12]}"
        assert [{UNITS[12]: told}] * 2 == [_results(first), _results(again)]
        assert State.FAILED not in {change.state for change in device.changes}


@pytest.mark.parametrize(("by_rules", "directory"), [(False, "/"), (True, "/Found")])
async def test_directory_rules_where_they_are_wished_for(
    tmp_path: Path, autojump_clock: MockClock, *, by_rules: bool, directory: str
) -> None:
    """A8: they place devices of both generations, or leave them in the root."""
    async with open_lab(tmp_path) as lab, AsyncExitStack() as stack:
        await lab.services.directories.create("/Found", actor="ann")
        await lab.services.rules.create("all", Criteria(), directory="/Found", actor="ann")
        devices = [await stack.enter_async_context(_device(lab, os)) for os in (11, 12)]
        for device in devices:
            await device.until_happening("waiting until a UMS finds this device")
        await _scan(lab, all_new=True, by_rules=by_rules)
        for device in devices:
            await device.until_managed()

        assert {directory} == {(await lab.services.registry.show(unit)).directory for unit in UNITS.values()}


@pytest.mark.parametrize("os", [11, 12])
async def test_who_does_not_wait_does_not_come(tmp_path: Path, autojump_clock: MockClock, os: int) -> None:
    """Although it tries again and again to come on board elsewhere; the person who scans is told what to look at."""
    async with open_lab(tmp_path) as lab, _device(lab, os, sources=(Source.STORED,), retries=True) as device:
        await device.until_state(State.WAITING)
        report = await _scan(lab, UNITS[os])

        why = "ordered, and not registered in time: does it wait for a scan, and can it reach this server directly?"
        assert {UNITS[os]: why} == _results(report)
        assert [] == await lab.services.registry.list_devices()
        assert not device.folder.has_ums(os)
