# SPDX-License-Identifier: Apache-2.0
"""One shard in this process: what devices are made with, keys made ahead once, and a whole run on loopback."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.support.lab import open_lab
from umslab.fleet.job import Job, Told
from umslab.fleet.shard import Shard, retry_policy, trust_modes
from umslab_agent.fleet.report import Backend
from umslab_agent.fleet.scenario import AtOnce, Exponential, Flat, Kind, Scenario
from umslab_certs.keys import KeyType
from umslab_protocol.machines.retrying import RetryPolicy

if TYPE_CHECKING:
    from pathlib import Path


def _job(scenario: Scenario, state: Path | None = None, *, ca_hash: str = "") -> Job:
    return Job(scenario=scenario, target="localhost:1", state=str(state or ""), ca_hash=ca_hash)


@pytest.mark.parametrize(
    ("retry", "waits"),
    [
        (Flat(seconds=3), [3, 3, 3]),
        (Flat(seconds=4, jitter=0.5), [3, 3, 3]),
        (Exponential(first_seconds=1, factor=3, most_seconds=5, jitter=0), [1, 3, 5]),
        (Exponential(first_seconds=2, factor=2, jitter=1), [1, 2, 4]),
    ],
    ids=str,
)
def test_retry_policies(retry: Flat | Exponential, waits: list[float]) -> None:
    """What the first three waits are when chance says one half."""
    policy = retry_policy(retry)

    assert waits == [policy.wait(attempt, 0.5) for attempt in (1, 2, 3)]
    assert policy.onboarding


def test_the_usual_retry_is_that_of_a_device() -> None:
    """But also before enrolment."""
    assert RetryPolicy(onboarding=True) == retry_policy(Exponential())
    assert not retry_policy(Flat(before_enrolment=False)).onboarding
    assert not retry_policy(Exponential(before_enrolment=False)).onboarding


def test_trust_modes_are_those_that_are_given() -> None:
    """The strongest: hash before token before first use."""
    nothing, hashed = trust_modes(_job(Scenario())), trust_modes(_job(Scenario(), ca_hash="ab" * 32))

    assert {"first-use", "strongest"} == set(nothing)
    assert nothing["strongest"].first_use
    assert {"first-use", "strongest", "ca-hash"} == set(hashed)
    assert hashed["strongest"].ca_hash is not None
    assert not hashed["strongest"].first_use


def test_keys_are_made_once(tmp_path: Path) -> None:
    """And kept: the second time there is nothing to make; another key type is made for its own devices."""
    scenario = Scenario(devices=4, mix=(Kind(), Kind(key_type=KeyType.P384)))
    told: list[Told] = []
    first, second = Shard(_job(scenario, tmp_path), told.append), Shard(_job(scenario, tmp_path), told.append)
    first.prepare()
    second.prepare()
    requests = [
        {unit_id: pieces["request.pem"] for unit_id, pieces in shard._pieces.items()} for shard in (first, second)
    ]

    assert 4 == len(requests[0])
    assert requests[0] == requests[1]


def test_what_this_build_does_not_run_is_left_out_and_said() -> None:
    """Devices of OS 11, and what the plan does to them."""
    told: list[Told] = []
    shard = Shard(_job(Scenario(devices=10, mix=(Kind(weight=3, os=11), Kind(weight=2)))), told.append)

    assert 4 == len(shard.plan.devices)
    assert 4 == len(shard.plan.phases[-1].actions)
    assert ["this build runs OS 12 only: 6 OS 11 devices were left out"] == [one.say for one in told]


async def test_a_run_on_loopback(tmp_path: Path) -> None:
    """All managed, in a fleet of mixed keys, RSA among them; levels are told; what devices have is kept."""
    mix = (Kind(weight=3), Kind(weight=2, key_type=KeyType.P384), Kind(weight=1, key_type=KeyType.RSA2048))
    scenario = Scenario(devices=12, mix=mix, arrivals=AtOnce())
    told: list[Told] = []
    async with open_lab(tmp_path, real=True) as lab:
        await lab.mass_key()
        job = Job(
            scenario=scenario,
            target=str(lab.target),
            auth_key="mass-key",
            state=str(tmp_path / "fleet"),
            backend=Backend(target="x", product="umslab"),
        )
        shard = Shard(job, told.append)
        shard.prepare()
        result = await shard.run()
        known = {one.unit_id: one.info["deviceSerialNumber"] for one in await lab.services.registry.list_devices()}

    assert 12 == result.measured.managed_once
    assert ([], False) == (result.notes, result.interrupted)
    assert {one.persona.unit_id: one.persona.serial_number for one in shard.plan.devices} == known
    assert ["phase 1: onboard", "phase 2: drain"] == [one.say for one in told if one.say]
    again = Shard(job, told.append)
    again.prepare()
    assert all("identity.pem" in pieces for pieces in again._pieces.values())
    assert 12 == len(again._pieces)


async def test_each_kind_trusts_in_its_way(tmp_path: Path) -> None:
    """With a hash of another root those that go by it refuse the server, and those that trust on first use do not."""
    mix = (Kind(trust="first-use"), Kind(trust="ca-hash"))
    scenario = Scenario(devices=4, mix=mix, arrivals=AtOnce(), retry=Flat(before_enrolment=False))
    async with open_lab(tmp_path, real=True) as lab:
        await lab.mass_key()
        job = Job(scenario=scenario, target=str(lab.target), auth_key="mass-key", ca_hash="ab" * 32)
        shard = Shard(job, lambda _: None)
        shard.prepare()
        measured = (await shard.run()).measured

    assert (2, [("pin-mismatch", 2)]) == (
        measured.managed_once,
        [(str(one.cause.reason), one.count) for one in measured.failures],
    )
