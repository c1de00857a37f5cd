# SPDX-License-Identifier: Apache-2.0
"""Devices that lease by themselves from real DHCP servers find their UMS, register automatically and are managed."""

from __future__ import annotations

import json
import signal
from typing import TYPE_CHECKING

import pytest

from umslab.dhcp.configurations import Scope, ServerKind, Wanted, configuration

from .dhcp_lab import CLIENT, SERVER, Lan, Pool, lan, serving
from .discovery_lab import device, dhcp_reasons, dns, looking, reasons, told, ums
from .strangers import need, run

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

PROGRAMS = {ServerKind.DNSMASQ: "dnsmasq", ServerKind.DHCPD: "dhcpd", ServerKind.KEA: "kea-dhcp4"}
DIRECT = Pool(direct=True)
BY_ITSELF = ("--dhcp-interface", "eth0")
MINE = ("--i-own", SERVER)
NAMES = {
    ServerKind.DNSMASQ: f"dhcp-option=6,{SERVER}\ndhcp-option=option:domain-search,lab.example\n",
    ServerKind.DHCPD: f'option domain-name-servers {SERVER};\noption domain-search "lab.example";\n',
    ServerKind.KEA: json.dumps(
        {
            "Dhcp4": {
                "option-data": [
                    {"name": "domain-name-servers", "data": SERVER},
                    {"name": "domain-search", "data": "lab.example"},
                ]
            }
        }
    ),
}
CASES = {
    "224 only": (Wanted(SERVER, "HQ", scope=Scope.GLOBAL), "dhcp224"),
    "43 only": (Wanted(SERVER, "HQ", scope=Scope.VENDOR), "dhcp43"),
    "exclusive": (Wanted(SERVER, "HQ", exclusive=True), "dhcp43"),
    "DNS only": (None, "dns"),
}


@pytest.fixture(scope="module")
def network(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lan]:
    """One LAN, one UMS that lets everybody in, and one name server for all cases."""
    need("dnsmasq")
    folder = tmp_path_factory.mktemp("lab")
    record = f"host-record=igelrmserver.lab.example,{SERVER}"
    with lan() as names, dns(names, folder, record), ums(names, folder, "enrolment.automatic=true"):
        yield names


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("kind", PROGRAMS)
def test_finds_registers_and_is_managed(kind: ServerKind, case: str, tmp_path: Path, network: Lan) -> None:
    """From a lease alone; the name server and the search domain come by DHCP too."""
    need(PROGRAMS[kind])
    wanted, source = CASES[case]
    snippet = NAMES[kind] if wanted is None else configuration(wanted, kind)

    with serving(kind, snippet, tmp_path, network, DIRECT):
        done = device(network, tmp_path, *BY_ITSELF, *MINE)

    assert (0, True) == (done.code, told(done)[-1]["managed"]), done.err
    assert ["leased"] == dhcp_reasons(done)
    assert ["found", "trust-first-use", "taken"] == reasons(done, source)
    if case == "DNS only":
        assert (["no-option"], ["no-option"]) == (reasons(done, "dhcp43"), reasons(done, "dhcp224"))


@pytest.mark.parametrize(("exclusive", "reason"), [(True, "exclusive"), (False, "found")])
def test_wrong_server_in_option_43(exclusive: bool, reason: str, tmp_path: Path, network: Lan) -> None:  # noqa: FBT001
    """Exclusive: option 224 is not asked, DNS is; else option 224 comes next (D5, D13)."""
    vendor = configuration(Wanted(CLIENT, exclusive=exclusive, scope=Scope.VENDOR), ServerKind.DNSMASQ)
    everybody = configuration(Wanted(SERVER, scope=Scope.GLOBAL), ServerKind.DNSMASQ)

    with serving("dnsmasq", vendor + everybody + NAMES[ServerKind.DNSMASQ], tmp_path, network):
        done = device(network, tmp_path, *BY_ITSELF, *MINE, "--i-own", CLIENT)

    assert 0 == done.code, done.err
    assert "unreachable" == reasons(done, "dhcp43")[-1]
    assert reason == reasons(done, "dhcp224")[0]
    assert "taken" == reasons(done, "dns" if exclusive else "dhcp224")[-1]


@pytest.mark.parametrize("kind", PROGRAMS)
def test_static_addressing(kind: ServerKind, tmp_path: Path, network: Lan) -> None:
    """An INFORM brings the options; nothing is leased."""
    need(PROGRAMS[kind])
    with serving(kind, configuration(Wanted(SERVER), kind), tmp_path, network, DIRECT):
        done = device(network, tmp_path, *BY_ITSELF, *MINE, "--static", "10.77.0.60")

    assert 0 == done.code, done.err
    assert ["static", "informed"] == dhcp_reasons(done)
    assert "taken" == reasons(done, "dhcp43")[-1]


def test_empty_pool(tmp_path: Path, network: Lan) -> None:
    """Nobody offers an address: the one of the Setup Assistant is taken, and the options still come."""
    pool = Pool("10.77.0.100", "10.77.0.100")
    with serving("dnsmasq", configuration(Wanted(SERVER), ServerKind.DNSMASQ), tmp_path, network, pool):
        with looking(network, tmp_path / "first", *BY_ITSELF, *MINE) as first:
            first.wait_for("managed")
            done = device(
                network, tmp_path, *BY_ITSELF, *MINE, "--dhcp-timeout", "3", "--static-fallback", "10.77.0.60"
            )
    assert 0 == done.code, done.err
    assert ["nobody-offered", "static", "informed"] == dhcp_reasons(done)


def test_no_server(tmp_path: Path, network: Lan) -> None:
    """Nobody offers, and there is nothing else: each source says so, with exit code 3."""
    done = device(network, tmp_path, *BY_ITSELF, "--dhcp-timeout", "1")

    failure = told(done)[-1]["failure"]
    assert (3, "resolve", "name-unknown") == (done.code, failure["phase"], failure["reason"])
    assert ["nobody-offered"] == dhcp_reasons(done)
    assert (["no-lease"], ["no-nameserver"]) == (reasons(done, "dhcp224"), reasons(done))


def test_free_in_a_network_of_ours(tmp_path: Path, network: Lan) -> None:
    """In a namespace that umslab made nothing needs --i-own: what a DHCP server names there leads nowhere else."""
    snippet = configuration(Wanted(SERVER), ServerKind.DNSMASQ) + NAMES[ServerKind.DNSMASQ]
    with serving("dnsmasq", snippet, tmp_path, network):
        done = device(network, tmp_path, *BY_ITSELF)

    assert 0 == done.code
    assert "target-refused" not in (*reasons(done, "dhcp43"), *reasons(done))


def test_given_back_at_the_end(tmp_path: Path, network: Lan) -> None:
    """Ctrl-C while the device is managed: the server's file has no lease any more. Behind a relay, too."""
    file = tmp_path / "dnsmasq.leases"
    relay = ("--dhcp-relay", SERVER, "--dhcp-giaddr", CLIENT)
    with serving("dnsmasq", configuration(Wanted(SERVER), ServerKind.DNSMASQ), tmp_path, network):
        for name, way in (("link", BY_ITSELF), ("relay", relay)):
            with looking(network, tmp_path / name, *way, *MINE) as running:
                at, found = running.wait_for(r"(\w{12})  has 10.77.0.1")
                mac = bytes.fromhex(found.group(1)).hex(":")
                running.wait_for("managed", after=at)
                assert mac in file.read_text()
                running.signal(signal.SIGINT)
                running.wait_for("gives 10.77.0.1.* back")
                assert 0 == running.wait()
            network.umslab("--interface", "eth0")  # the server has heard the device before this one
            assert mac not in file.read_text()


def test_lease_that_another_client_left(tmp_path: Path, network: Lan) -> None:
    """`umslab device --dhcp-lease` reads what dhclient left for exactly this."""
    need("dhclient")
    asked, leases = tmp_path / "dhclient.conf", tmp_path / "dhclient.leases"
    asked.write_text("option igelrmserver code 224 = text;\nrequest subnet-mask, igelrmserver;\n")
    files = ("-sf", "/bin/true", "-cf", asked, "-lf", leases, "-pf", tmp_path / "dhclient.pid")
    with serving("dnsmasq", configuration(Wanted(SERVER), ServerKind.DNSMASQ), tmp_path, network):
        run("ip", "netns", "exec", network.client, "dhclient", "-4", "-1", *files, "eth0")
        run("ip", "netns", "exec", network.client, "dhclient", "-4", "-x", *files, "eth0")
        done = device(network, tmp_path, *MINE, "--dhcp-lease", str(leases))

    assert 0 == done.code, done.err
    assert "taken" == reasons(done, "dhcp224")[-1]
