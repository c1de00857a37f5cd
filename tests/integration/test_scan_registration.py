# SPDX-License-Identifier: Apache-2.0
"""Devices that wait to be found: a scan of the server finds them, orders them to register, they come (O4, A6)."""

from __future__ import annotations

import os
from contextlib import AsyncExitStack, asynccontextmanager
from typing import TYPE_CHECKING

import pytest
import trio

from tests.support.lab import Lab, LabDevice, live, open_lab
from umslab.one_device import DeviceOptions, Finding, load_persona, make_device
from umslab_agent.discovery import Source
from umslab_agent.nearby import Whereabouts, open_nearby
from umslab_agent.onboarding import World
from umslab_agent.os11.device import Os11Settings
from umslab_agent.trust import TrustMode
from umslab_certs.keys import KeyType
from umslab_protocol.values.firmware import DEFAULT_FIRMWARE, DEFAULT_OS11_FIRMWARE
from umslab_protocol.values.unit_id import UnitId
from umslab_protocol.wire.codec import JsonCodec
from umslab_runtime.executor import InlineExecutor
from umslab_server.errors import RefusedError
from umslab_server.scan_report import ScanProgress, ScanReport, ScanWish

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from trio.testing import MockClock

UNITS = {11: UnitId("020000000011"), 12: UnitId("020000000012")}
RANGES = ["127.3.0.11", "127.3.0.12"]


async def _unheard(_: ScanProgress) -> None:
    await trio.lowlevel.checkpoint()


async def _scan(lab: Lab, *register: UnitId, all_new: bool = False) -> ScanReport:
    wish = ScanWish(ranges=RANGES, register=list(register), register_all_new=all_new, timeout_seconds=1)
    return await lab.services.scans.scan(wish, actor="me", on_progress=_unheard)


def _results(report: ScanReport) -> dict[str, str]:
    return {one.unit_id: "registered" if one.registered else one.why for one in report.registrations}


@asynccontextmanager
async def _device(lab: Lab, os: int) -> AsyncIterator[LabDevice]:
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
        finding=Finding(sources=(Source.STORED, Source.SCAN)),
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
            await lab.services.scans.scan(wish, actor="me", on_progress=_unheard)
