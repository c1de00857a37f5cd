# SPDX-License-Identifier: Apache-2.0
"""From a job to a report: asks the target policy, looks at the backend, shares the devices out among processes."""

from __future__ import annotations

from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from umslab.fleet.job import Job, Told
from umslab.fleet.machine import this_machine
from umslab.fleet.probing import check_target, probe
from umslab.fleet.processes import run_here, run_in_processes
from umslab.fleet.state import FleetStateError
from umslab.fleet.steering import one_process_only, steered
from umslab.one_device import owned_addresses
from umslab_agent.fleet.arrivals import busiest_second
from umslab_certs.files import make_private_folder
from umslab_protocol.values.host_port import parse_host_port
from umslab_runtime.folder_lock import FolderInUseError, hold_folder
from umslab_runtime.net_fleet import FleetNetwork
from umslab_runtime.policy import TargetPolicy

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from umslab_agent.fleet.plan import Plan
    from umslab_agent.fleet.report import RunReport

PIN_ON_FIRST_USE = "nobody vouches for the server: each device pins the root that answers first (--token checks it)"


async def launch(job: Job, plan: Plan, *, processes: int, proxied: bool, tell: Callable[[Told], None]) -> RunReport:
    """Run the job, in so many processes. `plan` is the job's.

    Raises `TargetRefusedError` before a packet is sent, `FleetStateError`, `WorkerError`, and `ValueError` for an owned
    host without an address.
    """
    target = parse_host_port(job.target)
    policy = TargetPolicy(await owned_addresses(job.own))
    network = FleetNetwork(policy)
    local = await check_target(
        network, target, policy, devices=job.scenario.devices, busiest=busiest_second(plan.arrivals)
    )
    backend, repeats = await probe(network, target, proxied=proxied)
    job = msgspec.structs.replace(job, backend=backend, repeats_requests=repeats)
    if not (job.token or job.ca_hash):
        tell(Told(say=PIN_ON_FIRST_USE))
    cores = this_machine().cores
    with _held(job.state):
        if processes == 1:
            return await run_here(msgspec.structs.replace(job, key_workers=cores), tell, control=job.state)
        async with steered(job.state, one_process_only):
            return await run_in_processes(plan, shared_out(job, processes, local=local, cores=cores), tell)


@contextmanager
def _held(state: str) -> Iterator[None]:
    """Hold the state folder, if there is one: two fleets would be the same devices."""
    if not state:
        yield
        return
    try:
        make_private_folder(Path(state))
        with hold_folder(Path(state)):
            yield
    except FolderInUseError:
        raise FleetStateError(
            f"another fleet runs on {state}: stop it, or choose another folder with --state"
        ) from None
    except OSError as error:
        raise FleetStateError(f"{state} cannot be used: {error.strerror or error}") from None


def shared_out(job: Job, processes: int, *, local: bool, cores: int) -> list[Job]:
    """Return the jobs of the processes: shards of the job's shard, each calling a local server from its own address."""
    return [
        msgspec.structs.replace(
            job,
            shard=job.shard + number * job.of,
            of=job.of * processes,
            source=f"127.0.1.{number + 1}" if local else "",
            key_workers=max(1, cores // processes),
        )
        for number in range(processes)
    ]
