# SPDX-License-Identifier: Apache-2.0
"""A plan is a pure function of its scenario: the same devices, times and digest, whole or in shards."""

from __future__ import annotations

import subprocess
import sys
from collections import Counter

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from umslab_agent.fleet.plan import OS11_ADDRESSES, make_plan
from umslab_agent.fleet.scenario import (
    AtOnce,
    Behaviour,
    Drain,
    Flat,
    Kind,
    Onboard,
    Poisson,
    Ramp,
    RenewalWave,
    Scenario,
    Site,
    Steady,
    Storm,
)
from umslab_agent.persona import derive_persona
from umslab_certs.keys import KeyType
from umslab_protocol.values.firmware import DEFAULT_FIRMWARE

RICH = Scenario(
    devices=60,
    first_index=100,
    seed=9,
    mix=(Kind(weight=3), Kind(weight=1, key_type=KeyType.P384, firmware="12.4.1", model="umslab model L")),
    sites=(Site(name="a", weight=2, circuits=3, structure_tag="A"), Site(name="b", offset_seconds=5)),
    addresses=("127.0.9.0/30", "127.1.0.8/32"),
    arrivals=Poisson(per_second=10),
    phases=(Onboard(), Steady(seconds=600), Storm(who="a/1"), RenewalWave(spread_seconds=9)),
    behaviour=Behaviour(reboots_per_day=100),
)
DIGEST = "d9b790d53fa4df572ab0ea4e956d778beda513735656e8dd05b7fef0a1afcc40"
"""Of `RICH`: it changes only with `plan.VERSION`."""


def test_the_digest_is_known() -> None:
    """On every machine and Python, from one version to the next."""
    assert DIGEST == make_plan(RICH).digest


def test_the_same_in_another_process() -> None:
    """Neither the hash seed nor anything else of a process is in it."""
    code = "from tests.agent.fleet.test_plan import RICH, make_plan; print(make_plan(RICH).digest)"
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, env={"PYTHONHASHSEED": "5"}
    )

    assert make_plan(RICH).digest == done.stdout.strip()


@pytest.mark.parametrize(
    "change",
    [
        {"seed": 10},
        {"first_index": 101},
        {"devices": 61},
        {"mix": (Kind(),)},
        {"sites": (Site(name="a", circuits=2),)},
        {"outstanding": 5},
        {"retry": Flat()},
        {"addresses": ()},
        {"arrivals": AtOnce()},
        {"phases": (Onboard(),)},
        {"behaviour": Behaviour()},
        {"time_scale": 2.0},
    ],
    ids=lambda change: next(iter(change)),
)
def test_every_key_that_plans_is_in_the_digest(change: dict[str, object]) -> None:
    """Another plan, another digest."""
    assert make_plan(RICH).digest != make_plan(msgspec.structs.replace(RICH, **change)).digest


def test_devices_are_personas_of_their_index() -> None:
    """Numbered from `first_index`; the same index and seed are the same device whatever else the fleet is."""
    devices = make_plan(RICH).devices
    one = devices[7]

    assert set(range(100, 160)) == {device.index for device in devices}
    assert 60 == len({device.persona.unit_id for device in devices})
    assert (
        derive_persona(9, one.index, firmware=DEFAULT_FIRMWARE).unit_id
        == one.persona.unit_id
        == next(
            device.persona.unit_id
            for device in make_plan(Scenario(devices=200, seed=9)).devices
            if device.index == one.index
        )
    )


def test_the_mix_is_exact() -> None:
    """Three quarters and one, with all that a kind says."""
    plan = make_plan(RICH)
    others = [device for device in plan.devices if device.kind == 1]

    assert {0: 45, 1: 15} == Counter(device.kind for device in plan.devices)
    assert {(KeyType.P384, "12.4.1", "umslab model L")} == {
        (device.key_type, device.persona.firmware, device.persona.device_type) for device in others
    }
    assert 1 < len({device.persona.device_type for device in plan.devices if device.kind == 0})


@given(st.lists(st.floats(0.01, 100), min_size=1, max_size=6), st.integers(1, 80))
def test_shares_are_within_one_device(weights: list[float], count: int) -> None:
    """Whatever the weights and the size of the fleet."""
    plan = make_plan(Scenario(devices=count, mix=tuple(Kind(weight=weight) for weight in weights)))
    counts = Counter(device.kind for device in plan.devices)

    assert all(abs(counts[kind] - count * weight / sum(weights)) < 1 for kind, weight in enumerate(weights))


def test_sites_and_circuits() -> None:
    """Two thirds and one third; circuits are loaded evenly; the site's tag and time zone are the device's."""
    devices = make_plan(RICH).devices
    at_a = [device for device in devices if device.site == "a"]

    assert {"a": 40, "b": 20} == Counter(device.site for device in devices)
    assert {1: 14, 2: 13, 3: 13} == Counter(device.circuit for device in at_a)
    assert {"A"} == {device.persona.structure_tag for device in at_a}
    assert min(device.arrival for device in devices if device.site == "b") > 5


def test_addresses_go_round() -> None:
    """The hosts of the networks in turn."""
    counts = Counter(device.address for device in make_plan(RICH).devices)

    assert {"127.0.9.1": 20, "127.0.9.2": 20, "127.1.0.8": 20} == counts


def test_os11_devices_have_addresses_of_their_own() -> None:
    """By their index, so that two machines, or two shards, have others; OS 12 devices call from where they like."""
    mix = (Kind(os=11), Kind())
    devices = make_plan(Scenario(devices=8, first_index=65_530, mix=mix)).devices
    called = {device.index: device.address for device in devices if device.os11}

    assert 4 == len(called)
    assert called == {index: str(OS11_ADDRESSES[1 + index]) for index in called}
    assert {""} == {device.address for device in devices if not device.os11}


def test_os11_devices_at_addresses_of_the_scenario() -> None:
    """Each at one, or it is refused: they are called there."""
    mix = (Kind(os=11), Kind(weight=3))
    scenario = Scenario(devices=8, addresses=("127.9.0.0/29",), mix=mix)
    called = [device.address for device in make_plan(scenario).devices if device.os11]

    assert 2 == len(set(called))
    with pytest.raises(ValueError, match="addresses: 2 for 40 devices are too few"):
        make_plan(msgspec.structs.replace(scenario, devices=40, addresses=("127.9.0.0/30",)))


def test_devices_are_in_order_of_arrival() -> None:
    """Also when sites come later."""
    times = make_plan(RICH).arrivals

    assert times == sorted(times)


def test_every_plan_ends_with_a_drain() -> None:
    """Its own, or the usual one."""
    assert "drain" == make_plan(RICH).phases[-1].kind
    own = Scenario(phases=(Onboard(), Drain(spread_seconds=3)))
    assert Drain(spread_seconds=3) == make_plan(own).phases[-1].phase


@settings(max_examples=30, deadline=None)
@given(st.integers(1, 9), st.integers(1, 4))
def test_shards_partition_the_plan(of: int, again: int) -> None:
    """Every device and action is in exactly one shard, unchanged; a shard of a shard is a shard; one digest."""
    plan = make_plan(RICH)
    parts = [plan.part(number, of).part(second, again) for number in range(1, of + 1) for second in range(1, again + 1)]

    assert sorted(device.index for part in parts for device in part.devices) == list(range(100, 160))
    assert {device for part in parts for device in part.devices} == set(plan.devices)
    for number, phase in enumerate(plan.phases):
        found = [action for part in parts for action in part.phases[number].actions]
        assert Counter(phase.actions) == Counter(found)
    assert {plan.digest} == {part.digest for part in parts}
    assert {(number, of * again) for number in range(1, of * again + 1)} == {part.shard for part in parts}
    assert all(part.devices == plan.part(*part.shard).devices for part in parts)


@pytest.mark.parametrize("number", [0, 4])
def test_there_is_no_such_shard(number: int) -> None:
    """From 1 to as many as there are."""
    with pytest.raises(ValueError, match="1/3 to 3/3"):
        make_plan(RICH).part(number, 3)


def test_times_are_real_ones() -> None:
    """With a time scale of 10 the last of ten arrives after nine tenths of a second."""
    plan = make_plan(Scenario(devices=10, arrivals=Ramp(seconds=10), time_scale=10))

    assert 0.9 == pytest.approx(plan.arrivals[-1])
    assert 10 == plan.scenario.time_scale
    assert 1 == plan.real.time_scale


def test_it_lasts_at_least() -> None:
    """Until the last arrival, and what each phase does by itself, in real seconds."""
    phases = (Onboard(), Steady(seconds=60), Storm(away_seconds=20), RenewalWave(), Drain())
    scenario = Scenario(devices=11, arrivals=Ramp(seconds=11), phases=phases, time_scale=2)

    assert (10 + 60 + 20) / 2 == make_plan(scenario).seconds
    slow = make_plan(Scenario(devices=10, arrivals=AtOnce(), phases=(Onboard(), Drain(spread_seconds=30))))
    assert 27 == slow.seconds
