# SPDX-License-Identifier: Apache-2.0
"""What a stranger's client leaves behind, `umslab dhcp decode` reads: dhclient's lease file, from real servers."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from umslab.dhcp.configurations import ServerKind, Wanted, configuration
from umslab.dhcp.samples import read_file, read_samples
from umslab_protocol.values.firmware import DEFAULT_FIRMWARE
from umslab_protocol.wire.igel_dhcp import Item, interpret

from .dhcp_lab import Lan, lan, serving
from .strangers import in_background, need

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from umslab_protocol.wire.dhcp_options import Option

WANTED = Wanted("192.0.2.10", "Köln: \"Haus 7\", 'EG' $1", exclusive=True)
PROGRAMS = {ServerKind.DNSMASQ: "dnsmasq", ServerKind.DHCPD: "dhcpd"}
"""Kea is told to use UDP sockets here, which hear relays only."""
CONFIGURATION = """\
send vendor-class-identifier "igel-dhcp-1";
option igelrmserver code 224 = text;
option umsstructuretag code 226 = text;
request subnet-mask, routers, vendor-encapsulated-options, igelrmserver, umsstructuretag;
"""


@pytest.fixture(scope="module")
def network() -> Iterator[Lan]:
    """One LAN for all cases."""
    with lan() as names:
        yield names


@pytest.mark.parametrize("kind", PROGRAMS)
def test_dhclient(kind: ServerKind, tmp_path: Path, network: Lan) -> None:
    """It sees what our own client sees, and its lease file says the same to us as our configuration meant."""
    need(PROGRAMS[kind], "dhclient")
    asked, leases, pid = tmp_path / "dhclient.conf", tmp_path / "dhclient.leases", tmp_path / "dhclient.pid"
    asked.write_text(CONFIGURATION)
    files = ("-sf", "/bin/true", "-cf", asked, "-lf", leases, "-pf", pid)
    dhclient = ("ip", "netns", "exec", network.client, "dhclient", "-4", "-1", "-d", *files, "eth0")

    with serving(kind, configuration(WANTED, kind), tmp_path, network):
        with in_background(*dhclient) as running:
            running.wait_for("bound to")
        ours = _relevant(network.ask("12.8.4"))
    (sample,) = read_samples(read_file(leases)).found
    view = interpret(sample.options, DEFAULT_FIRMWARE)

    assert (WANTED.server, WANTED.tag, True) == (view.value(Item.SERVER), view.value(Item.TAG), view.exclusive)
    assert ours == _relevant(sample.options)
    assert "written by dhclient" in sample.title


def _relevant(options: tuple[Option, ...] | list[Option]) -> dict[int, bytes]:
    return {option.code: option.value for option in options if option.code in {43, 224, 226}}
