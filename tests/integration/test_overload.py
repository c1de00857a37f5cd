# SPDX-License-Identifier: Apache-2.0
"""Devices against a server that is slow on purpose: they wait, are turned away, come again, and all are managed."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.support.fleets import PASSWORD, fleet_in
from tests.support.lab import open_lab
from umslab_agent.fleet.scenario import AtOnce, Kind, Onboard, Scenario
from umslab_protocol.machines.retrying import RetryPolicy
from umslab_protocol.values.failure import Reason
from umslab_server.service_model import Distribution, ServiceModel, ServiceTime, ServiceTimes

if TYPE_CHECKING:
    from pathlib import Path

    from trio.testing import MockClock

    from tests.support.lab import LabDevice

TIMES = ServiceTimes(
    register=ServiceTime(mean=4.0, distribution=Distribution.CONSTANT),
    enrol=ServiceTime(mean=4.0, distribution=Distribution.CONSTANT),
    system_information=ServiceTime(mean=2.0, distribution=Distribution.CONSTANT),
)
PATIENT = RetryPolicy(onboarding=True)


def reasons(devices: list[LabDevice]) -> set[Reason]:
    """Why they had to wait."""
    return {change.failure.reason for one in devices for change in one.changes if change.failure is not None}


async def test_a_long_queue(tmp_path: Path, autojump_clock: MockClock) -> None:
    """Nobody is refused; the last of eight is managed when all eight have been served."""
    async with open_lab(tmp_path, service_model=ServiceModel(workers=1, times=TIMES)) as lab:
        key = await lab.mass_key()
        devices = [lab.device(f"d{number}", auth_key=key) for number in range(8)]
        began = lab.clock.monotonic()
        for device in devices:
            await device.until_managed()
        seconds = lab.clock.monotonic() - began

    assert set() == reasons(devices)
    assert 8 * 6.0 <= seconds < 8 * 6.0 + 2


async def test_a_short_queue(tmp_path: Path, autojump_clock: MockClock) -> None:
    """Those who find it full are told 503 or `busy`, come again when they were told to, and get in."""
    model = ServiceModel(workers=1, queue=2, retry_after_seconds=20.0, times=TIMES)
    async with open_lab(tmp_path, service_model=model, seed=3) as lab:
        key = await lab.mass_key()
        devices = [lab.device(f"d{number}", auth_key=key, policy=PATIENT) for number in range(8)]
        for device in devices:
            await device.until_managed()
        shown = await lab.services.registry.list_devices()

    assert {Reason.BUSY} == reasons(devices)
    assert 8 == len(shown)
    assert all(one.info for one in shown)


async def test_too_many_requests(tmp_path: Path, autojump_clock: MockClock) -> None:
    """429 is what the file says; a device that does not try again while it onboards has failed."""
    model = ServiceModel(workers=1, queue=0, reject_status=429, times=TIMES)
    async with open_lab(tmp_path, service_model=model) as lab:
        key = await lab.mass_key()
        devices = [lab.device(f"d{number}", auth_key=key, policy=PATIENT) for number in range(3)]
        for device in devices:
            await device.until_managed()

    assert Reason.RATE_LIMITED in reasons(devices)


async def test_a_short_queue_for_both_generations(tmp_path: Path, autojump_clock: MockClock) -> None:
    """Devices of OS 11 are turned away as busy, come again, and get in; the server is to blame."""
    model = ServiceModel(workers=1, queue=2, retry_after_seconds=20.0, times=TIMES)
    scenario = Scenario(devices=8, mix=(Kind(os=11), Kind()), arrivals=AtOnce(), phases=(Onboard(within_seconds=3600),))
    async with open_lab(tmp_path, service_model=model) as lab:
        await lab.mass_key()
        await lab.services.os11.accounts.create("ann", PASSWORD, actor="test")
        with fleet_in(lab, scenario) as ours:
            await ours.fleet.run()

    assert 8 == ours.recorder.measured.managed_once
    assert ours.causes["register", "busy"] > 0
    assert {"server"} == {str(group.cause.side) for group in ours.recorder.measured.failures}
