# SPDX-License-Identifier: Apache-2.0
"""What a plan needs is counted, what does not fit is named with what to change."""

from __future__ import annotations

import pytest

from umslab_agent.fleet.plan import make_plan
from umslab_agent.fleet.resources import (
    DEVICE_BYTES,
    KEY_SECONDS,
    SPARE_DESCRIPTORS,
    Estimate,
    Machine,
    Need,
    estimate,
)
from umslab_agent.fleet.scenario import AtOnce, Kind, Ramp, Scenario
from umslab_certs.keys import KeyType

MACHINE = Machine(cores=2, memory_bytes=4 * 1024**3)


def _need(found: Estimate, name: str) -> Need:
    return next(need for need in found.needs if need.name.startswith(name))


def test_a_small_fleet_fits() -> None:
    """Nothing to change."""
    found = estimate(make_plan(Scenario(devices=100, arrivals=Ramp(seconds=10))), MACHINE)

    assert found.fits
    assert {"p-256": 100} == found.keys


@pytest.mark.parametrize(
    ("machine", "name", "advice"),
    [
        (Machine(cores=2, memory_bytes=4 * 1024**3, descriptors=1000), "descriptors", "--processes 4"),
        (Machine(cores=2, memory_bytes=4 * 1024**3, ports=2999), "ports", "addresses"),
        (Machine(cores=2, memory_bytes=100 * 1024**2), "memory", "--shard"),
    ],
)
def test_what_does_not_fit_is_named(machine: Machine, name: str, advice: str) -> None:
    """One resource, and what to change."""
    found = estimate(make_plan(Scenario(devices=3000, arrivals=Ramp(seconds=600))), machine)

    assert [name] == [need.name.split()[0] for need in found.needs if not need.fits]
    assert advice in _need(found, name).advice
    assert _need(found, name).hard


def test_arrivals_beyond_the_machine_are_another_run() -> None:
    """Told, but no reason not to begin: the report will say who was the bottleneck."""
    need = _need(estimate(make_plan(Scenario(devices=3000, arrivals=AtOnce())), MACHINE), "arrivals")

    assert (3000, False, False) == (need.needed, need.fits, need.hard)


def test_processes_share_the_devices() -> None:
    """Descriptors and ports are counted for one, memory for all."""
    plan = make_plan(Scenario(devices=3000))
    one, three = (estimate(plan, MACHINE, processes=number) for number in (1, 3))

    assert _need(one, "descriptors").needed - _need(three, "descriptors").needed == 2000
    assert (3000, 1000) == (_need(one, "ports").needed, _need(three, "ports").needed)
    assert _need(three, "memory").needed > _need(one, "memory").needed > 3000 * DEVICE_BYTES


def test_planned_addresses_count_by_themselves() -> None:
    """Ports are those of the address that most devices have."""
    plan = make_plan(Scenario(devices=300, addresses=("127.9.0.1/32", "127.9.0.2/32", "127.9.0.3/32")))

    assert 100 == _need(estimate(plan, MACHINE), "ports").needed


def test_keys_and_devices_of_the_other_os() -> None:
    """Keys are made for all; RSA takes its time. An OS 11 device that calls listens at the same time."""
    mix = (Kind(weight=1, os=11), Kind(weight=2), Kind(weight=1, key_type=KeyType.RSA4096))
    found = estimate(make_plan(Scenario(devices=40, mix=mix)), MACHINE)

    assert ({"p-256": 30, "rsa-4096": 10}, 10) == (found.keys, found.os11)
    assert 50 + SPARE_DESCRIPTORS == _need(found, "descriptors").needed
    assert 30 == _need(found, "ports").needed
    assert (30 * KEY_SECONDS[KeyType.P256] + 10 * KEY_SECONDS[KeyType.RSA4096]) / 2 == pytest.approx(found.key_seconds)
