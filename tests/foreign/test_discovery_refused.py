# SPDX-License-Identifier: Apache-2.0
"""In a network that is not umslab's own, what DHCP, DNS or mDNS names is no consent: without --i-own nobody calls it.

The namespaces are not named `umslab-...`. The UMS has an address of its own, where a name server is too, and tcpdump
sees all that arrives there.
"""

from __future__ import annotations

import re
import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING

import pytest

from umslab.dhcp.configurations import ServerKind, Wanted, configuration

from .dhcp_lab import CLIENT, SERVER, Lan, lan, serving
from .discovery_lab import device, dns, reasons, told, ums
from .strangers import Daemon, in_background, need, run

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

UMS = "10.77.0.3"
LAST = "import socket; socket.socket(socket.AF_INET, socket.SOCK_DGRAM).sendto(b'', ({!r}, 9))"
"""An empty datagram: what left before it has arrived when it has."""
NAMED = ["found", "trust-first-use", "target-refused"]
CASES = {
    "DHCP names the UMS": ("dhcp43", ("--dhcp-interface", "eth0"), NAMED),
    "DHCP names the name server": ("dns", ("--dhcp-interface", "eth0", "--sources", "dns"), ["target-refused"]),
    "DNS names the UMS": ("dns", ("--nameserver", SERVER, "--search-domain", "lab.example"), NAMED),
    "mDNS names the UMS": ("mdns", ("--sources", "stored,mdns", "--mdns-on", CLIENT), NAMED),
}


@pytest.fixture(scope="module")
def network(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lan]:
    """A LAN of somebody with a UMS that DHCP, DNS and mDNS all name."""
    need("dnsmasq", "tcpdump")
    folder = tmp_path_factory.mktemp("lab")
    with lan("lab-dhcp-") as names:
        run("ip", "-n", names.server, "addr", "add", f"{UMS}/24", "dev", "eth0")
        wanted = configuration(Wanted(UMS), ServerKind.DNSMASQ)
        more = f"dhcp-option=6,{UMS}\ndhcp-option=option:domain-search,lab.example\n"
        with (
            dns(names, folder, f"host-record=igelrmserver.lab.example,{UMS}", f"listen-address={UMS}"),
            serving("dnsmasq", wanted + more, folder, names),
            ums(names, folder, "enrolment.automatic=true", listen=UMS, more=("--mdns", "--mdns-on", UMS)) as server,
        ):
            server.wait_for("announced by mDNS")
            yield names


@contextmanager
def arriving(where: Lan) -> Iterator[Daemon]:
    """Watch what arrives at the UMS until the block ends."""
    watch = ("tcpdump", "-i", "eth0", "-n", "-l", "--immediate-mode", "-Q", "in", "ip", "dst", "host", UMS)
    with in_background("ip", "netns", "exec", where.server, *watch) as daemon:
        daemon.wait_for("listening on")
        yield daemon


@pytest.mark.parametrize("case", CASES)
def test_refused_without_i_own(case: str, network: Lan, tmp_path: Path) -> None:
    """One sentence says what to do, and no packet reaches the UMS; with --i-own the same device is managed."""
    source, arguments, expected = CASES[case]
    with arriving(network) as seen:
        refused = device(network, tmp_path, *arguments)
        run("ip", "netns", "exec", network.client, sys.executable, "-c", LAST.format(UMS))
        at, first = seen.wait_for(rf"IP \S+ > {re.escape(UMS)}\.\d+: .*")

        assert "UDP, length 0" in first.group(), first.group()  # nothing before the last datagram
        assert (3, expected) == (refused.code, reasons(refused, source))
        sentence = f"{UMS} is outside this machine: if it is yours, say so with --i-own {UMS} (or its name)"
        assert sentence in refused.out
        assert "Traceback" not in refused.err

        taken = device(network, tmp_path, *arguments, "--i-own", UMS)
        assert (0, True) == (taken.code, told(taken)[-1]["managed"]), taken.out + taken.err
        assert "taken" == reasons(taken, source)[-1]
        seen.wait_for(rf"> {re.escape(UMS)}\.8443: Flags \[S\]", after=at)
