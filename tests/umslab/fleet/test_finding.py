# SPDX-License-Identifier: Apache-2.0
"""How devices of a fleet find their server; who needs a lab network for it is skipped without one."""

from __future__ import annotations

import pytest

from umslab.fleet.finding import NEEDS_A_LAB, discovery_of, own_lease, without_lab
from umslab.fleet.job import Job
from umslab.fleet.shard import Shard, trust_modes
from umslab.one_device import Finding, open_world
from umslab_agent.discovery import Source
from umslab_agent.fleet.plan import make_plan
from umslab_agent.fleet.scenario import Kind, Onboard, Scenario, Storm
from umslab_agent.os11.finding import stored_address
from umslab_protocol.values.host_port import HostPort

SCENARIO = Scenario(
    devices=10,
    mix=(Kind(weight=3, source="dhcp"), Kind(weight=1, source="dhcp", os=11), Kind(weight=1)),
    phases=(Onboard(), Storm()),
)


def _job(scenario: Scenario = SCENARIO, *, dhcp_interface: str = "") -> Job:
    return Job(scenario=scenario, target="localhost:1", dhcp_interface=dhcp_interface)


def test_devices_that_lease_are_skipped_without_a_lab() -> None:
    """With what the plan does to them; the run says so, and its report."""
    plan, said = without_lab(make_plan(SCENARIO), _job())
    told: list[str] = []
    shard = Shard(_job(), lambda one: told.append(one.say))

    assert {"host"} == {plan.kind_of(device).source for device in plan.devices}
    assert [2, 2] == [len(phase.actions) for phase in plan.phases[1:]]
    assert NEEDS_A_LAB.format(8) == said
    assert ([said], [said]) == (told, shard._notes)
    assert plan.devices == shard.plan.devices


def test_with_an_interface_all_run() -> None:
    """And nobody is skipped whose source needs no lab."""
    plan, told = make_plan(SCENARIO), make_plan(Scenario())

    assert (plan, "") == without_lab(plan, _job(dhcp_interface="eth0"))
    assert (told, "") == without_lab(told, _job(Scenario()))


@pytest.mark.parametrize(("interface", "leases"), [("", False), ("eth0", True)])
def test_devices_ask_where_the_user_said(interface: str, leases: bool) -> None:  # noqa: FBT001
    """On that interface, or nowhere."""
    lease = own_lease(_job(dhcp_interface=interface))

    assert leases == (lease is not None)
    assert lease is None or interface == lease.way.interface


async def test_what_devices_ask() -> None:
    """By kind; those of OS 11 look for the port that they call, and remember where they registered (W9)."""
    job = Job(scenario=SCENARIO, target="localhost:1", os11_port=31_001, nameservers=("127.0.0.1:1",))
    modes = trust_modes(job)
    finding = Finding(nameservers=(HostPort("127.0.0.1", 1),))
    async with open_world(finding=finding) as world:
        kinds = (Kind(), Kind(source="dhcp"), Kind(source="dns"), Kind(source="dns", os=11))
        told, unleased, os12, os11 = (discovery_of(kind, job, world, modes) for kind in kinds)

    assert (None, None) == (told, unleased)
    assert os12 is not None
    assert os11 is not None
    assert [(Source.STORED, Source.DNS)] * 2 == [one._order for one in (os12, os11)]
    assert stored_address is os11._stored
    assert stored_address is not os12._stored
    assert [8443, 31_001] == [one._finders[Source.DNS].__self__._port for one in (os12, os11)]  # type: ignore[attr-defined]
