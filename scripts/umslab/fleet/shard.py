# SPDX-License-Identifier: Apache-2.0
"""Runs one shard of a fleet in this process, on the real network."""

from __future__ import annotations

from contextlib import AsyncExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import trio

from umslab.dhcp.own_lease import open_own_lease
from umslab.fleet.commanding import commander
from umslab.fleet.finding import discovery_of, own_lease, without_lab
from umslab.fleet.health import watch_health
from umslab.fleet.job import Told
from umslab.fleet.machine import raise_descriptor_limit
from umslab.fleet.moment import told_now
from umslab.fleet.requests_ahead import Wanted, make_requests
from umslab.fleet.state import FleetState
from umslab.fleet.steering import NOT_YET, Steering, most_per_second
from umslab.neighbours import policy_here
from umslab.one_device import Finding, dns_client, open_world, owned_addresses
from umslab_agent.fleet.blame import Way
from umslab_agent.fleet.member import Equipment, Os11Equipment
from umslab_agent.fleet.places import open_places
from umslab_agent.fleet.plan import Plan, make_plan
from umslab_agent.fleet.recorder import Recorder
from umslab_agent.fleet.running import Fleet
from umslab_agent.fleet.scenario import Flat
from umslab_agent.folder import DeviceFolder
from umslab_agent.os11.keeping import place_certificate
from umslab_agent.os11.registering import Wish
from umslab_agent.shelf import MemoryShelf, Scratch
from umslab_agent.trust import TrustMode
from umslab_certs.keys import KeyType
from umslab_protocol.machines.retrying import RetryPolicy
from umslab_protocol.values.fingerprint import CommunicationToken, Fingerprint
from umslab_protocol.values.host_port import HostPort, parse_host_port
from umslab_runtime.control import ControlError
from umslab_runtime.dns import parse_nameserver
from umslab_runtime.executor import InlineExecutor, ThreadExecutor
from umslab_runtime.lag import LagProbe
from umslab_runtime.net_fleet import FleetNetwork
from umslab_runtime.tuning import tune_interpreter

if TYPE_CHECKING:
    from collections.abc import Callable

    from umslab.fleet.job import Job
    from umslab_agent.fleet.measured import FailureGroup, Measured
    from umslab_agent.fleet.places import Places
    from umslab_agent.fleet.plan import PlannedDevice
    from umslab_agent.fleet.scenario import Retry
    from umslab_agent.onboarding import World
    from umslab_runtime.net_trio import TrioNetwork

TELL_SECONDS = 1.0
MOST_CAUSES = 10
"""Kinds of failures that are told when they come; the report has all."""
_KEYS = {False: {"identity.pem", "request.pem"}, True: {"device.pem"}}
"""Pieces with the key of a device, of OS 12 and of OS 11."""
WATCHED_SECONDS = 0.5
"""Between two glances, when somebody watches."""


@dataclass(slots=True)
class ShardResult:
    """What a shard brings back."""

    measured: Measured
    notes: list[str]
    interrupted: bool


class Shard:
    """One shard; make it, `prepare` it, then `run` it."""

    def __init__(self, job: Job, tell: Callable[[Told], None]) -> None:
        self._job = job
        self._tell = tell
        self._notes: list[str] = []
        self._fleet: Fleet | None = None
        self._steering: Steering | None = None
        self._stopped = False
        self._scratch = Scratch()
        plan = make_plan(job.scenario)
        self.plan, skipped = without_lab(plan.part(job.shard, job.of), job)
        if skipped:
            self._notes.append(skipped)
            tell(Told(say=skipped))
        self._state = FleetState(Path(job.state)) if job.state else None
        self._pieces: dict[str, dict[str, bytes]] = {}

    def prepare(self) -> None:
        """Load what devices have kept, and make the missing keys; may take minutes. Raises `FleetStateError`."""
        devices = self.plan.devices
        if self._state is not None:
            self._pieces = self._state.load(one.persona.unit_id for one in devices)
        wanted = [
            Wanted(one.persona.unit_id, str(one.key_type), one.os11)
            for one in devices
            if not _KEYS[one.os11] & set(self._pieces.get(one.persona.unit_id, ()))
        ]
        os11 = {one.unit_id for one in wanted if one.os11}
        told = 0

        def made(count: int) -> None:
            nonlocal told
            if count < len(wanted) and count - told >= len(wanted) / 10:
                told = count
                self._tell(Told(say=f"{count} of {len(wanted)} keys are made"))

        for unit_id, piece in make_requests(wanted, processes=self._job.key_workers, made=made).items():
            shelf = self._shelf_of(unit_id)
            if unit_id in os11:
                place_certificate(DeviceFolder(shelf), piece)
            else:
                DeviceFolder(shelf).place_request(piece)
            self._pieces[unit_id] = shelf.pieces
        if self._state is not None:
            self._state.write()

    def stop(self) -> None:
        """Drain; the second time, stop at once."""
        self._stopped = True
        if self._fleet is not None:
            self._fleet.stop()

    async def steer(self, name: str, args: dict[str, Any]) -> dict[str, Any]:
        """Answer a control request. Raises `ControlError`."""
        if self._steering is None:
            raise ControlError(NOT_YET)
        return self._steering.answer(name, args)

    async def run(self) -> ShardResult:
        """Run it. Raises `ListenError`, and `ValueError` for an owned host without an address."""
        job = self._job
        raise_descriptor_limit()
        async with AsyncExitStack() as stack:
            finding = Finding(nameservers=tuple(map(parse_nameserver, job.nameservers)), search=job.search)
            owned = await owned_addresses(job.own)
            world = await stack.enter_async_context(open_world(owned_hosts=job.own))
            world = replace(world, executor=_executor(self.plan))
            policy = policy_here(owned)
            if job.nameservers:
                world = replace(world, dns=dns_client(finding, policy))
            leasing = open_own_lease(own_lease(job), policy.owned, world.clock)
            world = replace(world, dhcp=await stack.enter_async_context(leasing))
            network = FleetNetwork(policy)
            addresses = [one.address for one in self.plan.devices if one.os11]
            places = await stack.enter_async_context(open_places(network, addresses)) if addresses else None
            now = world.clock.monotonic()
            way = Way(proxied=job.backend.proxied, product=job.backend.product, repeats_requests=job.repeats_requests)
            recorder = Recorder(devices=len(self.plan.devices), start=now, way=way)
            tune_interpreter()
            self._fleet = fleet = Fleet(
                self.plan,
                self._equipment(world, network, places, recorder),
                say=lambda text: self._tell(Told(say=text)),
                commander=commander(Path(job.control)) if job.control else None,
            )
            probe = LagProbe()
            self._steering = Steering(
                fleet,
                recorder,
                world.clock.monotonic,
                most_per_second=most_per_second(job),
                lag=probe.late,
                shard=job.shard,
            )
            if self._stopped:
                fleet.stop()
            async with trio.open_nursery() as nursery:
                nursery.start_soon(watch_health, recorder)
                nursery.start_soon(self._tell_levels, recorder, fleet)
                if job.metered:
                    nursery.start_soon(probe.run)
                if self._state is not None:
                    nursery.start_soon(self._state.keep)
                await fleet.run()
                nursery.cancel_scope.cancel()
            if self._state is not None:
                self._state.write()
            measured = recorder.finish(world.clock.monotonic())
        self._scratch.close()
        return ShardResult(measured, [*self._notes, *fleet.notes], fleet.interrupted)

    def _equipment(self, world: World, network: FleetNetwork, places: Places | None, recorder: Recorder) -> Equipment:
        job, real = self._job, self.plan.real
        networks: dict[str, TrioNetwork] = {}

        def network_of(device: PlannedDevice) -> TrioNetwork:
            source = device.address or job.source
            if source not in networks:
                networks[source] = network.calling_from(source)
            return networks[source]

        modes = trust_modes(job)
        return Equipment(
            world=world,
            target=parse_host_port(job.target),
            auth_key=job.auth_key or None,
            policy=retry_policy(real.retry),
            behaviour=real.behaviour.device,
            recorder=recorder,
            kinds=real.mix,
            trust=lambda kind: modes[kind.trust],
            network=network_of,
            shelf=lambda device: self._shelf_of(device.persona.unit_id),
            discovery=lambda kind: discovery_of(kind, job, world, modes),
            os11=None if places is None else self._os11(places),
        )

    def _os11(self, places: Places) -> Os11Equipment:
        job = self._job
        return Os11Equipment(
            target=HostPort(parse_host_port(job.target).host, job.os11_port),
            wish=Wish(user=job.user, password=job.password),
            push_port=places.port,
            nearby=lambda device: places.nearby(device.address),
        )

    def _shelf_of(self, unit_id: str) -> MemoryShelf:
        changed = None if self._state is None else self._state.change
        return MemoryShelf(unit_id, self._scratch, self._pieces.pop(unit_id, None), changed=changed)

    async def _tell_levels(self, recorder: Recorder, fleet: Fleet) -> None:
        causes = 0
        while True:
            await trio.sleep(WATCHED_SECONDS if self._job.watched else TELL_SECONDS)
            if not self._job.watched:  # the live picture has them
                for group in recorder.measured.failures[causes:MOST_CAUSES]:
                    causes += 1
                    self._tell(Told(say=f"new kind of failure: {first_of(group)}"))
            self._tell(told_now(recorder, fleet, trio.current_time(), closely=self._job.watched))


def first_of(group: FailureGroup) -> str:
    """What failed, and the words of the first one of its kind."""
    return f"{group.cause.phase}, {group.cause.reason}: {group.example}"


def retry_policy(retry: Retry) -> RetryPolicy:
    """Return the policy of devices that this part of a scenario says."""
    if isinstance(retry, Flat):
        return RetryPolicy(
            first=retry.seconds, factor=1.0, most=retry.seconds, jitter=retry.jitter, onboarding=retry.before_enrolment
        )
    return RetryPolicy(
        first=retry.first_seconds,
        factor=retry.factor,
        most=retry.most_seconds,
        jitter=retry.jitter,
        onboarding=retry.before_enrolment,
    )


def trust_modes(job: Job) -> dict[str, TrustMode]:
    """Return the trust modes that a kind can name, of those that the command line gives."""
    by_token = TrustMode(token=CommunicationToken.parse(job.token)) if job.token else None
    by_hash = TrustMode(ca_hash=Fingerprint.parse(job.ca_hash)) if job.ca_hash else None
    first_use = TrustMode(first_use=True)
    modes = {"first-use": first_use, "strongest": by_hash or by_token or first_use}
    modes |= {} if by_token is None else {"token": by_token}
    return modes if by_hash is None else modes | {"ca-hash": by_hash}


def _executor(plan: Plan) -> InlineExecutor | ThreadExecutor:
    """What devices keep is in memory, so nothing is worth a thread but new RSA keys at a renewal."""
    slow = any(device.key_type not in {KeyType.P256, KeyType.P384, KeyType.P521} for device in plan.devices)
    return ThreadExecutor() if slow else InlineExecutor()
