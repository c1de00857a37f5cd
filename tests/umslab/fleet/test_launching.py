# SPDX-License-Identifier: Apache-2.0
"""Devices are shared out among processes as shards of a shard; a refused target costs no process and no packet."""

from __future__ import annotations

from ipaddress import ip_address
from typing import TYPE_CHECKING

import msgspec
import pytest

from umslab.fleet.crowd import WorkerError
from umslab.fleet.job import Job, Told
from umslab.fleet.launching import check_ports, launch, shared_out
from umslab.fleet.state import FleetStateError
from umslab_agent.fleet.plan import make_plan
from umslab_agent.fleet.resources import Machine
from umslab_agent.fleet.scenario import Ramp, Scenario
from umslab_runtime.folder_lock import hold_folder
from umslab_runtime.policy import TargetRefusedError

if TYPE_CHECKING:
    from pathlib import Path

SCENARIO = Scenario(devices=24)


def test_jobs_partition_the_shard() -> None:
    """Together they have its devices, each once, and each an address of its own for a local server."""
    job = Job(scenario=SCENARIO, target="localhost:1", shard=2, of=3)
    plan = make_plan(SCENARIO)
    jobs = shared_out(job, 4, local=True, cores=8)
    devices = [device for one in jobs for device in plan.part(one.shard, one.of).devices]

    assert sorted(device.index for device in plan.part(2, 3).devices) == sorted(device.index for device in devices)
    assert ["127.0.1.5", "127.0.1.6", "127.0.1.7", "127.0.1.8"] == [one.source for one in jobs]
    assert {2} == {one.key_workers for one in jobs}
    assert {""} == {one.source for one in shared_out(job, 4, local=False, cores=1)}


def test_addresses_are_each_for_one_process() -> None:
    """However many there are, and however many shards run on this machine."""
    jobs = [Job(scenario=SCENARIO, target="localhost:1", shard=shard, of=3) for shard in (1, 2, 3)]
    sources = [ip_address(one.source) for job in jobs for one in shared_out(job, 256, local=True, cores=1)]

    assert 3 * 256 == len(set(sources))
    assert all(source.is_loopback for source in sources)


def test_ports_outside_this_machine() -> None:
    """Processes do not add any there; addresses of the plan do."""
    many = Scenario(devices=30, arrivals=Ramp(seconds=60))
    apart = msgspec.structs.replace(many, addresses=("10.9.9.0/30",))
    machine = Machine(cores=2, memory_bytes=2**32, ports=20)
    check_ports(make_plan(apart), machine)
    with pytest.raises(WorkerError, match="has 20 ports, and 30 devices would need one each"):
        check_ports(make_plan(many), machine)


@pytest.mark.parametrize("processes", [1, 2])
async def test_a_refused_target(processes: int) -> None:
    """The policy decides before anything else."""
    told: list[Told] = []
    job = Job(scenario=SCENARIO, target="192.168.77.9:8443")
    with pytest.raises(TargetRefusedError, match="--i-own"):
        await launch(job, make_plan(SCENARIO), processes=processes, proxied=False, tell=told.append)

    assert [] == told


async def test_a_state_in_use(tmp_path: Path) -> None:
    """Two fleets would be the same devices."""
    job = Job(scenario=SCENARIO, target="localhost:1", state=str(tmp_path))
    with hold_folder(tmp_path), pytest.raises(FleetStateError, match="another fleet"):
        await launch(job, make_plan(SCENARIO), processes=1, proxied=False, tell=lambda _: None)
