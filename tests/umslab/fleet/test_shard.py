# SPDX-License-Identifier: Apache-2.0
"""One shard in this process: what devices are made with, keys made ahead once, and a whole run on loopback."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

import pytest
import trio

from tests.support.fleets import PASSWORD, refreshed
from tests.support.lab import open_lab
from umslab.fleet.job import Job, Told
from umslab.fleet.shard import Shard, ShardResult, retry_policy, trust_modes
from umslab.fleet.state import FleetState
from umslab_agent.fleet.measured import Step
from umslab_agent.fleet.report import Backend
from umslab_agent.fleet.scenario import AtOnce, Exponential, Flat, Kind, Onboard, Scenario, Steady, Storm
from umslab_agent.os11.keeping import kind_of
from umslab_certs.identity import identity_from_pem
from umslab_certs.keys import KeyType
from umslab_protocol.machines.retrying import RetryPolicy
from umslab_protocol.values.device_key import DeviceKey
from umslab_server.os11.known import find

if TYPE_CHECKING:
    from pathlib import Path

    from tests.support.lab import Lab
    from umslab_agent.fleet.measured import Measured
    from umslab_agent.fleet.plan import Plan
    from umslab_server.online_check import SweepProgress


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


async def test_generations_and_key_types_on_loopback(tmp_path: Path) -> None:
    """Whoever calls or is called, the server sees the right device: its key, its certificate, its address, its answer.

    The second run, with what the first one kept, registers nobody and makes no key.
    """
    mix = (Kind(), *(Kind(os=11, key_type=kind) for kind in (KeyType.P256, KeyType.P384, KeyType.RSA2048)))
    scenario = Scenario(devices=12, mix=mix, arrivals=AtOnce(), phases=(Onboard(), Storm(), Steady(seconds=3600)))
    async with open_lab(tmp_path, real=True) as lab:
        await lab.mass_key()
        await lab.services.os11.accounts.create("ann", PASSWORD, actor="test")
        job = Job(
            scenario=scenario,
            target=str(lab.target),
            os11_port=int(lab.ready.os11_addresses[0].rpartition(":")[2]),
            auth_key="mass-key",
            user="ann",
            password=PASSWORD,
            state=str(tmp_path / "fleet"),
            backend=Backend(target="x", product="umslab"),
        )
        runs = [await _looked_at(lab, job) for _ in range(2)]
        known = {one.unit_id: one for one in await lab.services.registry.list_devices()}
        found = {
            unit_id: one
            for unit_id in known
            if (one := await lab.services.store.read(partial(find, unit_id=unit_id))) is not None
        }
    planned = {one.persona.unit_id: one for one in runs[0].plan.devices}
    pieces = FleetState(tmp_path / "fleet").load(planned)

    assert [(12, [])] * 2 == [(run.measured.managed_once, run.measured.failures) for run in runs]
    assert [(9, 9), (0, 18)] == [
        tuple(run.measured.steps[step].latency.count for step in (Step.REGISTER, Step.CONTACT)) for run in runs
    ]
    assert [{"SUCCESS": 12}] * 2 == [run.answered for run in runs]
    assert [{"online": 12}] * 2 == [run.states for run in runs]
    assert {unit_id for unit_id, one in planned.items() if one.os11} == found.keys()
    for unit_id, one in found.items():
        own = pieces[unit_id]["device.pem"]
        assert DeviceKey(pieces[unit_id]["tckey"]) == one.key
        assert own.endswith(one.certificate.encode())
        assert planned[unit_id].key_type is kind_of(identity_from_pem(own, "it")[1][0])
        assert planned[unit_id].address == known[unit_id].last_ip
    assert {unit_id: one.persona.serial_number for unit_id, one in planned.items()} == {
        unit_id: one.info["deviceSerialNumber"] for unit_id, one in known.items()
    }


@dataclass
class _Looked:
    """A run, and what the server said of its devices meanwhile."""

    plan: Plan
    measured: Measured
    answered: dict[str, int]
    states: dict[str, int]


async def _looked_at(lab: Lab, job: Job) -> _Looked:
    """Run a shard until the steady phase, in which the server commands and checks all; then end it."""
    steady = trio.Event()

    def told(one: Told) -> None:
        if one.say == "phase 3: steady":
            steady.set()

    shard = Shard(job, told)
    shard.prepare()
    unit_ids = [one.persona.unit_id for one in shard.plan.devices]
    result: list[ShardResult] = []

    async def run() -> None:
        result.append(await shard.run())

    async with trio.open_nursery() as nursery:
        nursery.start_soon(run)
        await steady.wait()
        answered = await refreshed(lab, unit_ids)
        report = await lab.services.online_checks.report(unit_ids, _ignore)
        shard.stop()
    return _Looked(shard.plan, result[0].measured, answered, report.counts)


async def _ignore(_: SweepProgress) -> None:
    pass
