# SPDX-License-Identifier: Apache-2.0
"""From a job to a report: asks the target policy, looks at the backend, shares the devices out among processes."""

from __future__ import annotations

import secrets
from contextlib import asynccontextmanager, contextmanager
from functools import partial
from ipaddress import IPv4Address
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from umslab.fleet.crowd import WorkerError
from umslab.fleet.job import Job, Told
from umslab.fleet.machine import this_machine
from umslab.fleet.probing import check_target, probe
from umslab.fleet.processes import run_here, run_in_processes
from umslab.fleet.proving import check_proof
from umslab.fleet.shard import trust_modes
from umslab.fleet.state import FleetStateError
from umslab.fleet.steering import steered
from umslab.neighbours import policy_here
from umslab.one_device import owned_addresses
from umslab_agent.fleet.arrivals import busiest_second
from umslab_agent.fleet.resources import PORTS, estimate
from umslab_certs.files import make_private_folder
from umslab_protocol.values.host_port import parse_host_port
from umslab_protocol.wire.load_proof import NONCE_BYTES
from umslab_runtime.clock import SystemClock
from umslab_runtime.folder_lock import FolderInUseError, hold_folder
from umslab_runtime.net_fleet import FleetNetwork

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterator

    from umslab.fleet.processes import AskedBy
    from umslab.fleet.steering import Answer
    from umslab_agent.fleet.plan import Plan
    from umslab_agent.fleet.report import RunReport
    from umslab_agent.fleet.resources import Machine
    from umslab_protocol.values.host_port import HostPort
    from umslab_runtime.net_trio import TrioNetwork

LOOPBACK = "127.0.0.1"
FIRST_SOURCE = IPv4Address("127.0.1.1")
NOT_CALLABLE = (
    "{} is outside this machine and calls OS 11 devices: give each of them an address of this machine that it reaches, "
    'such as addresses = ["192.0.2.0/24"] in the scenario'
)
PIN_ON_FIRST_USE = "nobody vouches for the server: each device pins the root that answers first (--token checks it)"


async def launch(
    job: Job,
    plan: Plan,
    *,
    processes: int,
    proxied: bool,
    tell: Callable[[Told], None],
    metrics: int | None = None,
) -> RunReport:
    """Run the job, in so many processes. `plan` is the job's; `metrics` the port on which Prometheus asks.

    Raises `TargetRefusedError` before a packet is sent to who may not be called, and before a device starts where a
    limit would need a proof; `FleetStateError`, `ListenError`, `WorkerError`, and `ValueError` for an owned host
    without an address, or for OS 11 devices that are not where the target can call them.
    """
    target = parse_host_port(job.target)
    policy = policy_here(await owned_addresses(job.own))
    network = FleetNetwork(policy)

    async def prove(there: HostPort) -> None:
        await check_proof(
            network,
            there,
            trust_modes(job)["strongest"],
            nonce=secrets.token_bytes(NONCE_BYTES),
            now=SystemClock().utc(),
        )

    checked = await check_target(
        network, target, policy, devices=job.scenario.devices, busiest=busiest_second(plan.arrivals), prove=prove
    )
    if not checked.local and any(one.os11 and IPv4Address(one.address).is_loopback for one in plan.devices):
        raise ValueError(NOT_CALLABLE.format(target.host))
    if checked.proved:
        # Nobody else has proved anything: the fleet goes nowhere but there, whatever a server hands out.
        job = msgspec.structs.replace(job, own=checked.proved, proved=True)
        tell(Told(say=f"{target} has proved that it was started for load: no limits, and nobody else is called"))
    if not checked.local:
        check_ports(plan, this_machine())
    backend, repeats = await probe(network, target, proxied=proxied)
    job = msgspec.structs.replace(job, backend=backend, repeats_requests=repeats, metered=metrics is not None)
    if not (job.token or job.ca_hash):
        tell(Told(say=PIN_ON_FIRST_USE))
    cores = this_machine().cores
    with _held(job.state):
        async with _asked_over(job.state, network, metrics, tell) as asked:
            if processes == 1:
                return await run_here(msgspec.structs.replace(job, key_workers=cores), tell, asked=asked)
            jobs = shared_out(job, processes, local=checked.local, cores=cores)
            return await run_in_processes(plan, jobs, tell, asked=asked)


@asynccontextmanager
async def _asked_over(
    state: str, network: TrioNetwork, metrics: int | None, tell: Callable[[Told], None]
) -> AsyncIterator[AskedBy]:
    """Let the fleet be asked over its control socket, and for metrics, when there is a port for them."""
    if metrics is None:
        yield partial(steered, state)
        return
    # Who does not ask for metrics need not wait for their library.
    from umslab.fleet.metrics import measured_at  # noqa: PLC0415

    listener = await network.listen(LOOPBACK, metrics)
    tell(Told(say=f"metrics are at http://{listener.address}/metrics"))

    @asynccontextmanager
    async def asked(answer: Answer) -> AsyncIterator[None]:
        async with steered(state, answer), measured_at(listener, answer):
            yield

    try:
        yield asked
    finally:
        listener.close()


def check_ports(plan: Plan, machine: Machine) -> None:
    """Raise `WorkerError` when the plan needs more ports than one address of this machine has.

    Only a server on this machine is called from an address for each process; another one sees them all at one, unless
    the plan gives devices addresses.
    """
    for need in estimate(plan, machine).needs:
        if need.name == PORTS and not need.fits:
            raise WorkerError(
                f"outside this machine all processes call from one address, which has {machine.ports} ports, and "
                f"{need.needed:.0f} devices would need one each: give the scenario `addresses` of this machine"
            )


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
    """Return the jobs of the processes: shards of the job's shard, each calling a local server from its own address.

    Another shard's processes on this machine have others, so that each address has all its ports for itself.
    """
    first = FIRST_SOURCE + (job.shard - 1) * processes
    return [
        msgspec.structs.replace(
            job,
            shard=job.shard + number * job.of,
            of=job.of * processes,
            source=str(first + number) if local else "",
            key_workers=max(1, cores // processes),
        )
        for number in range(processes)
    ]
