# SPDX-License-Identifier: Apache-2.0
"""Devices of a fleet that lease from a real DHCP server and go where its option 224 leads (D2), beside others."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any

import pytest

from tests.support.process import UMSLAB, ServerProcess, serving_inside
from umslab.dhcp.configurations import Scope, ServerKind, Wanted, configuration
from umslab_agent.fleet.plan import make_plan
from umslab_agent.fleet.scenario import Kind, Scenario
from umslab_protocol.values.host_port import DEFAULT_WEB_PORT

from .dhcp_lab import SERVER, Lan, lan, serving
from .strangers import need, run

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

KEY = "fleet-key"
LEADS_TO_THE_UMS = configuration(Wanted(SERVER, scope=Scope.GLOBAL), ServerKind.DNSMASQ)
MIX = (Kind(weight=2, source="host"), Kind(weight=5, source="dhcp"))
ARGUMENTS = (
    *("--devices", "7", "--at-once", "--auth-key", KEY, "--dhcp-interface", "eth0", "--json"),
    *("--set", 'mix=[{weight=2,source="host"},{weight=5,source="dhcp"}]'),
    *("--set", 'retry={kind="flat",before_enrolment=false}'),
)


@pytest.fixture(scope="module")
def network() -> Iterator[Lan]:
    """Two joined namespaces that umslab takes for its own."""
    need("dnsmasq")
    with lan() as names:
        yield names


@pytest.fixture(scope="module")
def server(network: Lan, tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    """A UMS on the port that devices take when an option names a host only."""
    state = tmp_path_factory.mktemp("ums") / "state"
    with serving_inside(network.server, state, SERVER, key=KEY, port=DEFAULT_WEB_PORT) as running:
        yield running


def _unit_ids(seed: int, source: str) -> set[str]:
    plan = make_plan(Scenario(devices=7, seed=seed, mix=MIX))
    return {one.persona.unit_id for one in plan.devices if plan.kind_of(one).source == source}


def _fleet(network: Lan, target: str, seed: int) -> tuple[int, dict[str, Any]]:
    verb = (*UMSLAB, "fleet", "run", target, "--seed", str(seed), *ARGUMENTS)
    done = run("ip", "netns", "exec", network.client, *verb, check=False)
    return done.code, dict(json.loads(done.out)["report"])


def _addresses(log: str, message: str) -> dict[str, str]:
    """Who got which address, or gave it back, as dnsmasq tells it."""
    found = re.findall(rf"{message}\(eth0\) (\S+) ([0-9a-f:]{{17}})", log)
    return {mac.replace(":", "").upper(): address for address, mac in found}


def test_each_leases_and_all_are_managed(network: Lan, server: ServerProcess, tmp_path: Path) -> None:
    """Five leases, each another address, all given back; nobody is skipped, and the others lease nothing."""
    leasing = _unit_ids(21, "dhcp")
    with serving("dnsmasq", LEADS_TO_THE_UMS, tmp_path, network) as dhcp:
        code, report = _fleet(network, SERVER, 21)
        for unit_id in leasing:
            dhcp.wait_for(rf"DHCPRELEASE\(eth0\) \S+ {bytes.fromhex(unit_id).hex(':')}")
        leased, returned = _addresses(dhcp.log, "DHCPACK"), _addresses(dhcp.log, "DHCPRELEASE")
    known = {device["unit_id"] for device in server.ask("devices.list")}

    assert (0, 7, 7, 0) == (code, report["devices"], report["managed"], report["failures"])
    assert [] == report["notes"]
    assert (5, leasing, leased) == (len(set(leased.values())), set(leased), returned)
    assert leasing | _unit_ids(21, "host") <= known


def test_the_lease_leads_and_not_the_command_line(network: Lan, server: ServerProcess, tmp_path: Path) -> None:
    """Where nobody listens at HOST, those that were told of it fail; those that lease are managed all the same."""
    with serving("dnsmasq", LEADS_TO_THE_UMS, tmp_path, network):
        code, report = _fleet(network, f"{SERVER}:1", 22)
    known = {device["unit_id"] for device in server.ask("devices.list")}
    (cause,) = report["causes"]

    assert (3, 5) == (code, report["managed"])
    assert ("cacerts", "unreachable", 2) == (cause["phase"], cause["reason"], cause["count"])
    assert _unit_ids(22, "dhcp") <= known
    assert not _unit_ids(22, "host") & known
