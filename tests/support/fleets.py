# SPDX-License-Identifier: Apache-2.0
"""Whole fleets for tests, in a lab: on the memory network in virtual time, or on loopback."""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from umslab.fleet.shard import retry_policy
from umslab_agent.fleet.member import Equipment, Os11Equipment
from umslab_agent.fleet.plan import make_plan
from umslab_agent.fleet.recorder import Recorder
from umslab_agent.fleet.running import Fleet
from umslab_agent.nearby import Nowhere
from umslab_agent.onboarding import World
from umslab_agent.os11.registering import Wish
from umslab_agent.shelf import MemoryShelf, Scratch
from umslab_agent.trust import TrustMode
from umslab_protocol.values.host_port import PUSH_PORT, HostPort
from umslab_protocol.wire.codec import JsonCodec
from umslab_protocol.wire.orders import CommandName
from umslab_runtime.executor import InlineExecutor
from umslab_server.commanding.selectors import Selector

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.support.lab import Lab
    from umslab_agent.fleet.measured import Condition
    from umslab_agent.fleet.plan import PlannedDevice
    from umslab_agent.fleet.running import Commander
    from umslab_agent.fleet.scenario import Scenario
    from umslab_runtime.network import Network


PASSWORD = "correct horse battery"
"""Of the user with whom OS 11 devices register."""


@dataclass
class LabFleet:
    """A fleet, and what it told."""

    fleet: Fleet
    recorder: Recorder
    shelves: dict[str, MemoryShelf]
    said: list[str] = field(default_factory=list)

    def level(self, condition: Condition) -> int:
        """How many devices are in a condition now."""
        return self.recorder.levels[condition]

    @property
    def causes(self) -> dict[tuple[str, str], int]:
        """Failed tries by phase and reason."""
        return {
            (str(group.cause.phase), str(group.cause.reason)): group.count for group in self.recorder.measured.failures
        }

    def steps(self) -> dict[str, int]:
        """How often each step was timed."""
        return {str(step): times.latency.count for step, times in self.recorder.measured.steps.items()}


@contextmanager
def fleet_in(
    lab: Lab,
    scenario: Scenario,
    *,
    auth_key: str | None = "mass-key",
    target: HostPort | None = None,
    network: Network | None = None,
    shelves: dict[str, MemoryShelf] | None = None,
    commander: Commander | None = None,
    shard: tuple[int, int] = (1, 1),
) -> Iterator[LabFleet]:
    """Make the fleet of a scenario in a lab, to be run; with the `shelves` of another one it goes on with those.

    Its OS 11 devices register as `ann`, and each is a host of the memory network, by its address.
    """
    scratch = Scratch()
    plan = make_plan(scenario).part(*shard)
    kept = {} if shelves is None else shelves
    said: list[str] = []
    world = World(
        network=lab.device_network,
        clock=lab.clock,
        executor=InlineExecutor(),
        contexts=lab.contexts,
        codec=JsonCodec(),
        host=lab.host,
        entropy=bytes,
    )
    recorder = Recorder(devices=len(plan.devices), start=lab.clock.monotonic())
    equipment = Equipment(
        world=world,
        target=target or lab.target,
        auth_key=auth_key,
        policy=retry_policy(plan.real.retry),
        behaviour=plan.real.behaviour.device,
        recorder=recorder,
        kinds=plan.real.mix,
        trust=lambda kind: TrustMode(first_use=True) if kind.trust == "first-use" else lab.token_mode(),
        network=lambda device: network or _network_of(lab, device),
        shelf=lambda device: kept.setdefault(device.persona.unit_id, MemoryShelf(device.persona.unit_id, scratch)),
        discovery=lambda _: None,
        os11=Os11Equipment(
            target=HostPort(lab.target.host, int(lab.ready.os11_addresses[0].rpartition(":")[2])),
            wish=Wish(user="ann", password=PASSWORD),
            push_port=PUSH_PORT,
            nearby=lambda _: Nowhere(),
        ),
    )
    fleet = Fleet(plan, equipment, say=said.append, commander=commander)
    try:
        yield LabFleet(fleet, recorder, kept, said)
    finally:
        scratch.close()


def _network_of(lab: Lab, device: PlannedDevice) -> Network:
    if lab.memory is None or not device.os11:
        return lab.device_network
    return lab.memory.host(device.address)


async def refreshed(lab: Lab, unit_ids: list[str]) -> dict[str, int]:
    """Command devices to tell their system information; returns how many answered what."""
    commands = lab.services.commands
    exec_id = await commands.start(CommandName.REFRESH_SYSTEM_INFORMATION, Selector(unit_ids=unit_ids), actor="test")
    run, seen = commands.progress(exec_id), 0
    while run is not None and (news := await run.news(seen)):
        seen += len(news)
    execution, _ = await commands.results(exec_id)
    return dict(execution.states)
