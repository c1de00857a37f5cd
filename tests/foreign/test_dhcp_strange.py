# SPDX-License-Identifier: Apache-2.0
"""Ways of real networks that no configuration of ours makes: other servers, other encodings, relays, routers."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from umslab.dhcp.configurations import ServerKind, Wanted, configuration

from .dhcp_lab import CLIENT, SERVER, Lan, Pool, lan, serving
from .strangers import in_background, missing, need, run

if TYPE_CHECKING:
    from collections.abc import Iterator

ON_LINK = ("--interface", "eth0")
BEHIND = "10.99.0.1"
NETWORKD = Path("/lib/systemd/systemd-networkd")
NETWORK = """\
[Match]
Name=eth0
[Network]
Address={address}/24
DHCPServer=yes
LinkLocalAddressing=no
IPv6AcceptRA=no
[DHCPServer]
PoolOffset=100
PoolSize=20
EmitDNS=no
SendOption=224:string:192.0.2.224
SendVendorOption=224:string:192.0.2.43
SendVendorOption=226:string:HQ
"""
ALONE = """\
ip addr flush dev eth0
mount -t tmpfs none /run && mount -o remount,bind,ro /sys
mkdir -p /run/systemd/network /run/systemd/netif/links /run/systemd/netif/leases /run/systemd/netif/lldp
chown -R systemd-network /run/systemd/netif
cp {file} /run/systemd/network && exec {program}
"""
"""In the mount namespace that `ip netns exec` makes: a place of its own, and no udev to wait for. The address is
systemd's to give, and stays when it ends."""
MAC = "02:00:00:00:00:07"


@pytest.fixture(scope="module")
def network() -> Iterator[Lan]:
    """One LAN for all cases."""
    with lan() as names:
        yield names


def _igel(shown: dict[str, Any]) -> dict[str, Any]:
    (client,) = shown["clients"]
    assert ("leased", {}) == (client["outcome"], client["malformed"])
    return dict(client["igel"])


@pytest.mark.parametrize(
    ("vendor", "server", "exclusive"),
    [
        ("010101 e00a3139322e302e322e3130 e2024851", "192.0.2.10", True),
        ("e00b3139322e302e322e313000 e203485100 ff", "192.0.2.10", False),
        ("00 e2024851 00 010101 e00a3139322e302e322e3130 0000", "192.0.2.10", True),
        ("f1036f6464 e003756d73 ff 6a756e6b", "ums", False),
        ("e003756d73 e2ff", "ums", False),
    ],
    ids=["plain", "NUL-terminated with End", "padded and reordered", "unknown and bytes after End", "cut"],
)
def test_udhcpd(vendor: str, server: str, exclusive: bool, tmp_path: Path, network: Lan) -> None:  # noqa: FBT001
    """BusyBox gives every client the bytes it was told, with a NUL behind a text as Windows has it."""
    need("busybox")
    leases, file = tmp_path / "udhcpd.leases", tmp_path / "udhcpd.conf"
    leases.touch()
    file.write_text(
        f"start 10.77.0.120\nend 10.77.0.130\nmax_leases 11\ninterface eth0\nlease_file {leases}\n"
        f"pidfile {tmp_path}/udhcpd.pid\noption subnet 255.255.255.0\noption lease 600\n"
        f"opt 0xe0 676c6f62616c00\nopt 0x2b {vendor.replace(' ', '')}\n"
    )
    with in_background("ip", "netns", "exec", network.server, "busybox", "udhcpd", "-f", "-a", "0", file) as daemon:
        daemon.wait_for("started")
        igel = _igel(network.umslab(*ON_LINK))
        old = _igel(network.umslab(*ON_LINK, "--firmware", "11.03.500"))

    assert (server, exclusive) == (igel["server"], igel["exclusive"])
    assert ("global", False) == (old["server"], old["exclusive"])


def test_systemd_networkd(tmp_path: Path, network: Lan) -> None:
    """The DHCP server of systemd: option 224 for everybody, another one inside option 43."""
    if not NETWORKD.exists():
        missing("systemd-networkd is not there")
    file = tmp_path / "10-eth0.network"
    file.write_text(NETWORK.format(address=SERVER))
    start = ("ip", "netns", "exec", network.server, "sh", "-c", ALONE.format(file=file, program=NETWORKD))
    environment = {"SYSTEMD_LOG_LEVEL": "debug", "SYSTEMD_LOG_TARGET": "console"}
    with in_background(*start, env=environment) as daemon:
        daemon.wait_for("DHCPv4 server: STARTED")
        igel = _igel(network.umslab(*ON_LINK))
        old = _igel(network.umslab(*ON_LINK, "--firmware", "11.03.500"))

    assert ("192.0.2.43", "HQ") == (igel["server"], igel["tag"])
    assert ("192.0.2.224", None) == (old["server"], old["tag"])


@pytest.mark.parametrize("kind", [ServerKind.DNSMASQ, ServerKind.DHCPD])
def test_long_values(kind: ServerKind, tmp_path: Path, network: Lan) -> None:
    """What does not fit into one option, or into the options of 576 bytes, arrives whole (RFC 3396, option 52)."""
    need({ServerKind.DNSMASQ: "dnsmasq", ServerKind.DHCPD: "dhcpd"}[kind])
    filler, tag = "x" * 250, "T" * 90
    more = {
        ServerKind.DNSMASQ: f"dhcp-option-force=option:root-path,{filler}\n",
        ServerKind.DHCPD: f'option root-path "{filler}";\noption dhcp-parameter-request-list 51,1,17,43,226,224;\n',
    }[kind]
    with serving(kind, configuration(Wanted("192.0.2.10", tag), kind) + more, tmp_path, network):
        igel = _igel(network.umslab(*ON_LINK))

    assert ("192.0.2.10", tag) == (igel["server"], igel["tag"])


@pytest.mark.slow
def test_server_that_is_not_on_the_link(tmp_path: Path, network: Lan) -> None:
    """Its identifier is an address behind the router that relays: the renewal goes there, and the release too."""
    need("dnsmasq", "dhcpd")
    run("ip", "-n", network.server, "addr", "replace", f"{BEHIND}/32", "dev", "lo")
    snippet = configuration(Wanted("192.0.2.10"), ServerKind.DHCPD) + f"server-identifier {BEHIND};\n"
    verb = (sys.executable, "-m", "umslab", "dhcp", "lease", *ON_LINK, "--mac", MAC, "--hold")

    with serving("dhcpd", snippet, tmp_path, network, Pool(seconds=8)) as server:
        with in_background("ip", "netns", "exec", network.client, *verb) as holding:
            at, _ = holding.wait_for(f"has 10.77.0.1.* from {BEHIND}")
            holding.wait_for("may keep 10.77.0.1", after=at)
        server.wait_for("DHCPRELEASE of 10.77.0.1")


def test_two_servers(tmp_path: Path, network: Lan) -> None:
    """One is chosen, and what the other says is counted."""
    need("dnsmasq", "dhcpd")
    first, second = tmp_path / "one", tmp_path / "two"
    for folder in (first, second):
        folder.mkdir()
    other = Pool("10.77.0.160", "10.77.0.170", direct=True)
    with (
        serving("dnsmasq", configuration(Wanted("192.0.2.10"), ServerKind.DNSMASQ), first, network),
        serving("dhcpd", configuration(Wanted("192.0.2.10"), ServerKind.DHCPD), second, network, other),
    ):
        (client,) = network.umslab(*ON_LINK)["clients"]

    assert ("leased", SERVER) == (client["outcome"], client["dhcpServer"])
    assert CLIENT != client["address"]
