# SPDX-License-Identifier: Apache-2.0
"""Whole fleets for tests, in a lab: on the memory network in virtual time, or on loopback."""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from umslab.fleet.shard import retry_policy
from umslab_agent.fleet.member import Equipment
from umslab_agent.fleet.plan import make_plan
from umslab_agent.fleet.recorder import Recorder
from umslab_agent.fleet.running import Fleet
from umslab_agent.onboarding import World
from umslab_agent.shelf import MemoryShelf, Scratch
from umslab_agent.trust import TrustMode
from umslab_protocol.wire.codec import JsonCodec
from umslab_runtime.executor import InlineExecutor

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.support.lab import Lab
    from umslab_agent.fleet.measured import Condition
    from umslab_agent.fleet.running import Commander
    from umslab_agent.fleet.scenario import Scenario
    from umslab_protocol.values.host_port import HostPort
    from umslab_runtime.network import Network


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
    """Make the fleet of a scenario in a lab, to be run; with the `shelves` of another one it goes on with those."""
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
        network=lambda _: network or lab.device_network,
        shelf=lambda device: kept.setdefault(device.persona.unit_id, MemoryShelf(device.persona.unit_id, scratch)),
        discovery=lambda _: None,
    )
    fleet = Fleet(plan, equipment, say=said.append, commander=commander)
    try:
        yield LabFleet(fleet, recorder, kept, said)
    finally:
        scratch.close()
