# SPDX-License-Identifier: Apache-2.0
"""A device that has nothing but a real name server, dnsmasq, registers automatically and is managed."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import pytest

from .dhcp_lab import CLIENT, SERVER, Lan, lan
from .discovery_lab import UMSLAB, device, dns, reasons, told, ums
from .strangers import in_background, need, run

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture(scope="module")
def network() -> Iterator[Lan]:
    """One LAN for all cases."""
    need("dnsmasq")
    with lan() as names:
        yield names


def test_dns_only(network: Lan, tmp_path: Path) -> None:
    """`igelrmserver` below the second search domain; two addresses, at the first of which nobody is."""
    record = f"host-record=igelrmserver.lab.example,{SERVER}"
    options = ("--nameserver", SERVER, "--search-domain", "other.example", "--search-domain", "lab.example")
    with dns(network, tmp_path, record), ums(network, tmp_path, "enrolment.automatic=true"):
        done = device(network, tmp_path, *options, "--i-own", SERVER)
        assert (0, True) == (done.code, told(done)[-1]["managed"]), done.err
        assert ["found", "trust-first-use", "taken"] == reasons(done)

        again = device(network, tmp_path, *options, "--i-own", SERVER)
        assert (0, True) == (again.code, told(again)[-1]["managed"]), again.err
        assert (["found"], []) == (reasons(again, "stored"), reasons(again))

        status = run(*UMSLAB, "ctl", "status", "--state", tmp_path / "ums", "--json").out
        assert "automatic registration is on since" in status


def test_switch_off(network: Lan, tmp_path: Path) -> None:
    """The UMS refuses, and the device shows why."""
    with dns(network, tmp_path, f"host-record=igelrmserver.lab.example,{SERVER}"), ums(network, tmp_path):
        done = device(network, tmp_path, "--nameserver", SERVER, "--search-domain", "lab.example", "--i-own", SERVER)

        failure = told(done)[-1]["failure"]
        assert (3, "enrol", "enrol-refused") == (done.code, failure["phase"], failure["reason"])
        assert "automatic registration is off" in failure["detail"]


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ("local=/example/", "no-such-name"),
        ("local=/example/\nhost-record=igelrmserver.lab.example,fd00::1", "no-address"),
        ("local=/elsewhere.example/", "server-failed"),
        (f"host-record=igelrmserver.lab.example,{CLIENT}", "unreachable"),
    ],
)
def test_failures_are_told_apart(network: Lan, tmp_path: Path, line: str, reason: str) -> None:
    """No such name, no A record (D8), a server that cannot answer, an address where nobody listens."""
    with dns(network, tmp_path, line):
        done = device(network, tmp_path, "--nameserver", SERVER, "--search-domain", "lab.example", "--i-own", CLIENT)

        assert 3 == done.code
        assert reason == reasons(done)[-1]


def test_points_elsewhere(network: Lan, tmp_path: Path) -> None:
    """Something answers there, and it is no UMS: told apart from nobody and from a name that is not there (D13)."""
    other = (sys.executable, "-m", "http.server", "8443", "--bind", SERVER, "--directory", tmp_path)
    with (
        dns(network, tmp_path, f"host-record=igelrmserver.lab.example,{SERVER}"),
        in_background("ip", "netns", "exec", network.server, *other, env={"PYTHONUNBUFFERED": "1"}) as web,
    ):
        web.wait_for("Serving HTTP")
        done = device(network, tmp_path, "--nameserver", SERVER, "--search-domain", "lab.example", "--i-own", SERVER)

        assert ["found", "trust-first-use", "points-elsewhere"] == reasons(done)
        assert "not a UMS (D13)" in told(done)[-1]["failure"]["hint"]


def test_silent_name_server(network: Lan, tmp_path: Path) -> None:
    """One that takes the question and never answers is a timeout."""
    need("socat")
    silent = ("socat", "-d", "-d", "-u", f"UDP4-RECV:5353,bind={SERVER}", "OPEN:/dev/null")
    with in_background("ip", "netns", "exec", network.server, *silent) as server:
        server.wait_for("starting data transfer loop")
        done = device(network, tmp_path, "--nameserver", f"{SERVER}:5353", "--search-domain", "lab.example")

        assert "timeout" == reasons(done)[-1]


def test_free_in_a_network_of_ours(network: Lan, tmp_path: Path) -> None:
    """In a namespace that umslab made the device asks whom DNS names, without --i-own; here nobody is there."""
    with dns(network, tmp_path, f"host-record=igelrmserver.lab.example,{SERVER}"):
        done = device(network, tmp_path, "--nameserver", SERVER, "--search-domain", "lab.example")

        assert "unreachable" == reasons(done)[-1]
