# SPDX-License-Identifier: Apache-2.0
"""Devices are shared out among processes as shards of a shard; a refused target costs no process and no packet."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from umslab.fleet.job import Job, Told
from umslab.fleet.launching import launch, shared_out
from umslab.fleet.state import FleetStateError
from umslab_agent.fleet.plan import make_plan
from umslab_agent.fleet.scenario import Scenario
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
    assert ["127.0.1.1", "127.0.1.2", "127.0.1.3", "127.0.1.4"] == [one.source for one in jobs]
    assert {2} == {one.key_workers for one in jobs}
    assert {""} == {one.source for one in shared_out(job, 4, local=False, cores=1)}


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
