# SPDX-License-Identifier: Apache-2.0
"""What a fleet will do: a pure function of its scenario, and thereby of its seed (house.md section 8d).

Every device has its place in the plan before anything runs: who it is, when it is switched on, what happens to it in
which phase. A shard is a slice of the same plan, so that several processes or machines run one fleet.
"""

from __future__ import annotations

import hashlib
import random
from collections import Counter
from dataclasses import dataclass, replace
from ipaddress import IPv4Network
from itertools import chain, islice
from typing import TYPE_CHECKING

import msgspec
from msgspec import Struct

from umslab_agent.fleet.actions import PlannedAction, actions_of
from umslab_agent.fleet.arrivals import arrival_times
from umslab_agent.fleet.scenario import Drain, Scenario, Site, Steady, in_real_time
from umslab_agent.persona import Persona, derive_persona
from umslab_certs.keys import KeyType

if TYPE_CHECKING:
    from collections.abc import Sequence

    from umslab_agent.fleet.scenario import Kind, Phase

OS11_ADDRESSES = IPv4Network("127.16.0.0/12")
"""Where OS 11 devices are called for which the scenario has no addresses: each by its index."""
VERSION = 2
"""Of the canonical encoding: another one, another digest."""


class PlannedDevice(Struct, frozen=True, kw_only=True, gc=False):
    """One device of a plan."""

    index: int
    kind: int
    """Its place in the mix."""
    persona: Persona
    key_type: KeyType
    site: str
    """Empty when there are no sites."""
    circuit: int
    address: str
    """What it calls from; empty: the system chooses. OS 11 devices always have one of their own: they are called."""
    arrival: float
    """Seconds from the start of the run."""

    @property
    def os11(self) -> bool:
        """Whether it runs OS 11."""
        return self.persona.firmware.startswith("11.")


@dataclass(frozen=True, slots=True)
class PlannedPhase:
    """One phase, with what happens to which device in it, in order of time."""

    number: int
    """From 1."""
    phase: Phase
    actions: tuple[PlannedAction, ...]

    @property
    def kind(self) -> str:
        """Its kind, as the scenario calls it."""
        return str(self.phase.__struct_config__.tag)

    @property
    def seconds(self) -> float:
        """How long it lasts at least, after the last arrival: what is planned, not what the server takes."""
        if isinstance(self.phase, Steady):
            return self.phase.seconds
        return max((action.at + action.seconds for action in self.actions), default=0.0)


@dataclass(frozen=True, slots=True)
class Plan:
    """Devices and phases; all times are real ones."""

    scenario: Scenario
    """As its author wrote it."""
    devices: tuple[PlannedDevice, ...]
    """In order of arrival."""
    phases: tuple[PlannedPhase, ...]
    digest: str
    """SHA-256 of the whole plan, of which this may be a shard."""
    shard: tuple[int, int] = (1, 1)

    @property
    def real(self) -> Scenario:
        """The scenario with real times."""
        return in_real_time(self.scenario)

    @property
    def arrivals(self) -> list[float]:
        """When devices arrive, in order."""
        return [device.arrival for device in self.devices]

    @property
    def seconds(self) -> float:
        """How long it lasts at least, from the start to the end of the last phase."""
        return max(self.arrivals, default=0.0) + sum(phase.seconds for phase in self.phases)

    def kind_of(self, device: PlannedDevice) -> Kind:
        """What kind of device this is."""
        return self.scenario.mix[device.kind]

    def part(self, number: int, of: int) -> Plan:
        """Return shard `number` (from 1) `of` so many: every `of`-th device, with its own actions, times unchanged.

        Raises `ValueError` for a shard that there is not. A shard of a shard is a shard.
        """
        if not 1 <= number <= of:
            raise ValueError(f"a shard is one of 1/{of} to {of}/{of}, not {number}/{of}")
        devices = self.devices[number - 1 :: of]
        chosen = {device.index for device in devices}
        phases = tuple(
            replace(phase, actions=tuple(action for action in phase.actions if action.index in chosen))
            for phase in self.phases
        )
        shard = (self.shard[0] + (number - 1) * self.shard[1], self.shard[1] * of)
        return replace(self, devices=devices, phases=phases, shard=shard)


def make_plan(scenario: Scenario) -> Plan:
    """Make the plan. Raises `ValueError` for recorded arrivals that were not read, and for too few addresses."""
    real = in_real_time(scenario)
    devices = _devices(real)
    numbered = enumerate(_with_drain(real.phases), start=1)
    phases = tuple(
        PlannedPhase(number, phase, actions_of(number, phase, devices, real.behaviour, real.seed))
        for number, phase in numbered
    )
    return Plan(scenario=scenario, devices=devices, phases=phases, digest=_digest(real, devices, phases))


def _with_drain(phases: Sequence[Phase]) -> list[Phase]:
    return [*phases] if isinstance(phases[-1], Drain) else [*phases, Drain()]


def _devices(scenario: Scenario) -> tuple[PlannedDevice, ...]:
    count, seed = scenario.devices, scenario.seed
    sites = scenario.sites or (Site(name="nowhere"),)
    kinds = _dealt([kind.weight for kind in scenario.mix], count, f"mix {seed}")
    places = _dealt([site.weight for site in sites], count, f"sites {seed}")
    times = arrival_times(scenario.arrivals, count, seed)
    addresses = _addresses(scenario, [scenario.mix[kind].os == 11 for kind in kinds])
    on_circuit = [0] * len(sites)
    devices = []
    for position in range(count):
        kind, site = scenario.mix[kinds[position]], sites[places[position]]
        circuit, on_circuit[places[position]] = on_circuit[places[position]], on_circuit[places[position]] + 1
        index = scenario.first_index + position
        devices.append(
            PlannedDevice(
                index=index,
                kind=kinds[position],
                persona=derive_persona(
                    seed, index, firmware=kind.runs, structure_tag=site.structure_tag, model=kind.model
                ),
                key_type=kind.key_type,
                site=site.name if scenario.sites else "",
                circuit=1 + circuit % site.circuits,
                address=addresses[position],
                arrival=times[position] + site.offset_seconds,
            )
        )
    return tuple(sorted(devices, key=lambda device: (device.arrival, device.index)))


def _dealt(weights: Sequence[float], count: int, seed: str) -> list[int]:
    """Deal `count` devices out by weight, exactly (largest remainders first), and shuffle them."""
    whole = sum(weights)
    exact = [count * weight / whole for weight in weights]
    shares = [int(share) for share in exact]
    by_rest = sorted(range(len(weights)), key=lambda place: (shares[place] - exact[place], place))
    for place in by_rest[: count - sum(shares)]:
        shares[place] += 1
    dealt = [place for place, share in enumerate(shares) for _ in range(share)]
    random.Random(f"umslab {seed}").shuffle(dealt)  # noqa: S311 - repeatable
    return dealt


def _addresses(scenario: Scenario, os11: Sequence[bool]) -> list[str]:
    """Return what each device calls from: the hosts of the networks in turn; `os11` tells who is called there too."""
    count = len(os11)
    if not scenario.addresses:
        return [_own_address(scenario.first_index + position) if os11[position] else "" for position in range(count)]
    hosts = chain.from_iterable(IPv4Network(network, strict=False).hosts() for network in scenario.addresses)
    known = [str(host) for host in islice(hosts, count)]
    called = Counter(position % len(known) for position in range(count) if os11[position])
    if max(called.values(), default=0) > 1:
        raise ValueError(
            f"addresses: {len(known)} for {count} devices are too few: each OS 11 device is called at one of its own"
        )
    return [known[position % len(known)] for position in range(count)]


def _own_address(index: int) -> str:
    return str(OS11_ADDRESSES[1 + index % (OS11_ADDRESSES.num_addresses - 2)])


def _digest(real: Scenario, devices: Sequence[PlannedDevice], phases: Sequence[PlannedPhase]) -> str:
    sha256 = hashlib.sha256(f"umslab fleet plan {VERSION}\n".encode())
    encoder = msgspec.json.Encoder()
    sha256.update(encoder.encode([real.mix, real.behaviour, real.retry, real.outstanding]) + b"\n")
    for device in devices:
        sha256.update(encoder.encode(device) + b"\n")
    for planned in phases:
        sha256.update(encoder.encode(planned.phase) + b"\n")
        for action in planned.actions:
            sha256.update(encoder.encode(action) + b"\n")
    return sha256.hexdigest()
