# SPDX-License-Identifier: Apache-2.0
"""A router between the devices and everything that serves them: DHCP by way of its relay, DNS, the UMS."""

from __future__ import annotations

import json
import os
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pytest

from umslab.dhcp.configurations import ServerKind, Wanted, configuration

from .dhcp_lab import SERVER as ROUTER
from .dhcp_lab import Lan, lan, serving
from .discovery_lab import device, dhcp_reasons, dns, reasons, told, ums
from .strangers import Daemon, in_background, need, run

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

UPLINK, UMS = "10.78.0.1", "10.78.0.2"
NAMES = [{"name": "domain-name-servers", "data": UMS}, {"name": "domain-search", "data": "lab.example"}]
SNIPPETS = {
    "dhcp43": configuration(Wanted(UMS), ServerKind.KEA),
    "dns": json.dumps({"Dhcp4": {"option-data": NAMES}}),
}


@dataclass(frozen=True)
class Routed(Lan):
    """The server is in a network of its own, and the namespace beside the devices is a router."""

    router: str


@pytest.fixture(scope="module")
def network() -> Iterator[Routed]:
    """Devices, router, servers."""
    name = f"umslab-dhcp-u{os.getpid()}"
    with lan() as names:
        run("ip", "netns", "add", name)
        try:
            peer = ("type", "veth", "peer", "name", "eth0", "netns", name)
            run("ip", "-n", names.server, "link", "add", "eth1", *peer)
            for where, link, address in ((names.server, "eth1", UPLINK), (name, "eth0", UMS)):
                run("ip", "-n", where, "addr", "add", f"{address}/24", "dev", link)
                run("ip", "-n", where, "link", "set", link, "up")
            run("ip", "-n", name, "link", "set", "lo", "up")
            run("ip", "-n", name, "route", "add", "default", "via", UPLINK)
            run("ip", "-n", names.client, "route", "add", "default", "via", ROUTER)
            run("ip", "netns", "exec", names.server, "sh", "-c", "echo 1 > /proc/sys/net/ipv4/ip_forward")
            yield Routed(server=name, client=names.client, router=names.server)
        finally:
            run("ip", "netns", "del", name)


@contextmanager
def relaying(where: Routed) -> Iterator[Daemon]:
    """Let the router carry DHCP between its two links."""
    relay = ("dnsmasq", "--no-daemon", "-C", "/dev/null", "--port=0", "--user=root", "--log-facility=-", "--pid-file=")
    way = f"--dhcp-relay={ROUTER},{UMS}"
    with in_background("ip", "netns", "exec", where.router, *relay, way) as daemon:
        daemon.wait_for("started")
        yield daemon


@pytest.mark.parametrize("source", SNIPPETS)
def test_devices_behind_a_router(source: str, tmp_path: Path, network: Routed) -> None:
    """Of all servers they hear only the relay on their own link; the UMS is reached through the router."""
    need("dnsmasq", "kea-dhcp4")
    with (
        serving("kea", SNIPPETS[source], tmp_path, network),
        dns(network, tmp_path, f"host-record=igelrmserver.lab.example,{UMS}", address=UMS),
        relaying(network),
        ums(network, tmp_path, "enrolment.automatic=true", listen=UMS),
    ):
        done = device(network, tmp_path, "--dhcp-interface", "eth0")

    assert (0, True) == (done.code, told(done)[-1]["managed"]), done.out + done.err
    assert ["leased"] == dhcp_reasons(done)
    assert "taken" == reasons(done, source)[-1]
