# SPDX-License-Identifier: Apache-2.0
"""Our client leases from real servers, with packets of its own and as a relay, in namespaces made for it."""

from __future__ import annotations

import re
import signal
import sys
from typing import TYPE_CHECKING, Any

import pytest

from umslab.dhcp.configurations import Scope, ServerKind, Wanted, configuration

from .dhcp_lab import CLIENT, SERVER, Lan, Pool, lan, serving
from .strangers import in_background, need, run

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

PROGRAMS = {ServerKind.DNSMASQ: "dnsmasq", ServerKind.DHCPD: "dhcpd", ServerKind.KEA: "kea-dhcp4"}
LEASES = {ServerKind.DNSMASQ: "dnsmasq.leases", ServerKind.DHCPD: "dhcpd.leases", ServerKind.KEA: "kea.leases"}
ON_LINK = ("--interface", "eth0")
AS_RELAY = ("--relay", SERVER, "--giaddr", CLIENT)
MAC = "02:00:00:00:00:07"
DIRECT = Pool(direct=True)
CASES = {
    "224 only": (Wanted("ums.lab.example", "HQ", scope=Scope.GLOBAL), "option 224", False),
    "43 only": (Wanted("192.0.2.10", "HQ", scope=Scope.VENDOR), "option 43", False),
    "exclusive": (Wanted("192.0.2.10", exclusive=True), "option 43", True),
}


@pytest.fixture(scope="module")
def network() -> Iterator[Lan]:
    """One LAN for all cases."""
    with lan() as names:
        yield names


def _client(shown: dict[str, Any]) -> dict[str, Any]:
    (client,) = shown["clients"]
    return dict(client)


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("kind", PROGRAMS)
def test_options_on_the_link(kind: ServerKind, case: str, tmp_path: Path, network: Lan) -> None:
    """A device without an address of its own gets the options, and takes its UMS from where it should."""
    need(PROGRAMS[kind])
    wanted, _, exclusive = CASES[case]

    with serving(kind, configuration(wanted, kind), tmp_path, network, DIRECT):
        client = _client(network.umslab(*ON_LINK, "--mac", MAC))

    assert ("leased", MAC) == (client["outcome"], client["mac"])
    assert client["address"].startswith("10.77.0.1")
    assert {"offered", "acknowledged"} == set(client["steps"])
    igel = client["igel"]
    assert (wanted.server, wanted.tag or None, exclusive) == (igel["server"], igel["tag"], igel["exclusive"])
    assert {"global" if wanted.scope is Scope.GLOBAL else "option 43"} == {one["place"] for one in igel["settings"]}
    assert {} == client["malformed"]


def test_no_options(tmp_path: Path, network: Lan) -> None:
    """A server that knows nothing of IGEL gives an address and no UMS; that is no failure."""
    need("dnsmasq")
    with serving("dnsmasq", "", tmp_path, network):
        client = _client(network.umslab(*ON_LINK))

    assert ("leased", None) == (client["outcome"], client["igel"]["server"])


def test_nobody_offers(network: Lan) -> None:
    """Without a server there is exit code 3, and a reason."""
    for how in (ON_LINK, AS_RELAY):
        client = _client(network.umslab(*how, "--timeout", "1", exit_code=3))

        assert ("nobody-offered", None) == (client["outcome"], client["igel"])


@pytest.mark.parametrize("kind", PROGRAMS)
def test_refusal_after_the_pool_changed(kind: ServerKind, tmp_path: Path, network: Lan) -> None:
    """A device that comes back with an address of another network is refused, and gets a new one at once."""
    need(PROGRAMS[kind])
    snippet = configuration(Wanted("192.0.2.10"), kind)
    with serving(kind, f"dhcp-authoritative\n{snippet}" if kind == "dnsmasq" else snippet, tmp_path, network, DIRECT):
        client = _client(network.umslab(*ON_LINK, "--mac", MAC, "--previous", "10.99.0.5"))

    assert "leased" == client["outcome"]
    assert [SERVER] == [refusal["server"] for refusal in client["refusals"]]
    assert client["address"].startswith("10.77.0.1")


@pytest.mark.parametrize("kind", PROGRAMS)
def test_release_reaches_the_server(kind: ServerKind, tmp_path: Path, network: Lan) -> None:
    """At the end, and at Ctrl-C while it holds the lease: the server's lease file says so."""
    need(PROGRAMS[kind])
    file = tmp_path / LEASES[kind]
    verb = (sys.executable, "-m", "umslab", "dhcp", "lease", *ON_LINK, "--mac", MAC, "--hold")

    with serving(kind, configuration(Wanted("192.0.2.10"), kind), tmp_path, network, DIRECT):
        with in_background("ip", "netns", "exec", network.client, *verb) as holding:
            holding.wait_for("has 10.77.0.1")
            assert _holds(kind, file.read_text())
            holding.signal(signal.SIGINT)
            holding.wait_for("Gave 1 address back")
            assert 0 == holding.wait()
        # The server has heard it before whatever is asked next.
        network.umslab(*ON_LINK, "--mac", "02:00:00:00:00:08")
        assert not _holds(kind, file.read_text())


def _holds(kind: ServerKind, text: str) -> bool:
    """Whether the lease file has an active lease of our client."""
    if kind is ServerKind.DNSMASQ:
        return MAC in text
    if kind is ServerKind.KEA:  # a row a change: address, MAC, client ID, lifetime, expiry ...
        rows = [row.split(",") for row in text.splitlines() if MAC in row]
        return bool(rows) and int(rows[-1][3]) > 0
    blocks = [block for block in re.findall(r"lease [0-9.]+ \{.*?\n\}", text, re.DOTALL) if MAC in block]
    return bool(blocks) and bool(re.search(r"\n  binding state active;", blocks[-1]))


@pytest.mark.slow
@pytest.mark.parametrize("kind", PROGRAMS)
def test_renewal_by_unicast(kind: ServerKind, tmp_path: Path, network: Lan) -> None:
    """At T1 the client asks its server alone and may keep the address: ARP is answered for it."""
    need(PROGRAMS[kind])
    verb = (sys.executable, "-m", "umslab", "dhcp", "lease", *ON_LINK, "--mac", MAC, "--hold")
    pool = Pool(direct=True, seconds=120 if kind is ServerKind.DNSMASQ else 8)  # dnsmasq: two minutes at least
    snippet = configuration(Wanted("192.0.2.10"), kind)
    if kind is ServerKind.DNSMASQ:
        snippet += "dhcp-option-force=58,4\ndhcp-option-force=59,90\n"

    with serving(kind, snippet, tmp_path, network, pool):
        with in_background("ip", "netns", "exec", network.client, *verb) as holding:
            at, _ = holding.wait_for("has 10.77.0.1")
            holding.wait_for("may keep 10.77.0.1", after=at)
            assert "lost" not in holding.log


@pytest.mark.slow
@pytest.mark.parametrize("kind", PROGRAMS)
def test_a_thousand_clients(kind: ServerKind, tmp_path: Path, network: Lan) -> None:
    """With distinct MACs through one relay: each gets an address of its own, and all give theirs back."""
    need(PROGRAMS[kind])
    pool = Pool("10.77.1.0", "10.77.7.255", "10.77.0.0", 16)
    for name, address in ((network.server, SERVER), (network.client, CLIENT)):
        run("ip", "-n", name, "addr", "replace", f"{address}/16", "dev", "eth0")
        run("ip", "-n", name, "addr", "del", f"{address}/24", "dev", "eth0", check=False)

    try:
        with serving(kind, configuration(Wanted("192.0.2.10", "HQ"), kind), tmp_path, network, pool):
            shown = network.umslab(*AS_RELAY, "--clients", "1000")
    finally:
        for name, address in ((network.server, SERVER), (network.client, CLIENT)):
            run("ip", "-n", name, "addr", "replace", f"{address}/24", "dev", "eth0")
            run("ip", "-n", name, "addr", "del", f"{address}/16", "dev", "eth0", check=False)

    assert {"leased": 1000} == shown["outcomes"]
    assert 1000 == shown["released"]
    assert 1000 == len({client["address"] for client in shown["clients"]})
    assert {"192.0.2.10"} == {client["igel"]["server"] for client in shown["clients"]}


@pytest.mark.parametrize("kind", PROGRAMS)
def test_pool_is_exhausted(kind: ServerKind, tmp_path: Path, network: Lan) -> None:
    """Those for whom there is no address are told apart, and the others have theirs."""
    need(PROGRAMS[kind])
    pool = Pool("10.77.0.100", "10.77.0.104")
    with serving(kind, configuration(Wanted("192.0.2.10"), kind), tmp_path, network, pool):
        shown = network.umslab(*AS_RELAY, "--clients", "8", "--timeout", "3", exit_code=3)

    assert (5, 5) == (shown["outcomes"]["leased"], shown["released"])
    assert 3 == sum(shown["outcomes"].get(why, 0) for why in ("nobody-offered", "refused", "not-acknowledged"))


@pytest.mark.parametrize("kind", PROGRAMS)
def test_udhcpc_sees_the_same(kind: ServerKind, tmp_path: Path, network: Lan) -> None:
    """Another client, on the same link, with the same vendor class, gets the very bytes that we report."""
    need(PROGRAMS[kind], "udhcpc")
    script = tmp_path / "script"
    script.write_text("#!/bin/sh\nenv\n")
    script.chmod(0o755)
    asked = ("-f", "-n", "-q", "-i", "eth0", "-V", "igel-dhcp-1", "-O", "43", "-O", "224", "-O", "226", "-s", script)

    wanted = Wanted("192.0.2.10", "HQ", exclusive=True)
    with serving(kind, configuration(wanted, kind), tmp_path, network, DIRECT):
        client = _client(network.umslab(*ON_LINK))
        theirs = run("ip", "netns", "exec", network.client, "udhcpc", *asked).out
    ours = {option["code"]: option["hex"] for option in client["igel"]["options"] if option["code"] in {43, 224, 226}}

    seen = {int(code): value.lower() for code, value in re.findall(r"(?m)^opt(43|224|226)=([0-9a-fA-F]+)$", theirs)}
    assert ours == seen


@pytest.mark.parametrize("kind", [ServerKind.DNSMASQ, ServerKind.DHCPD])
def test_dhclient_sees_the_same(kind: ServerKind, tmp_path: Path, network: Lan) -> None:
    """The client of IGEL OS itself (D10), asking as a device does, gets the very bytes that we report."""
    need(PROGRAMS[kind], "dhclient")
    asked, leases = tmp_path / "dhclient.conf", tmp_path / "dhclient.leases"
    asked.write_text(
        'send vendor-class-identifier "igel-dhcp-1";\n'
        "option igelrmserver code 224 = string;\noption umsstructuretag code 226 = string;\n"
        "request subnet-mask, vendor-encapsulated-options, igelrmserver, umsstructuretag;\n"
    )
    files = ("-sf", "/bin/true", "-cf", asked, "-lf", leases, "-pf", tmp_path / "dhclient.pid")

    with serving(kind, configuration(Wanted("192.0.2.10", "HQ", exclusive=True), kind), tmp_path, network, DIRECT):
        client = _client(network.umslab(*ON_LINK))
        with in_background(
            "ip", "netns", "exec", network.client, "dhclient", "-4", "-1", "-d", *files, "eth0"
        ) as theirs:
            theirs.wait_for("bound to")
    ours = {option["code"]: option["hex"] for option in client["igel"]["options"] if option["code"] in {43, 224, 226}}
    names = {"vendor-encapsulated-options": 43, "igelrmserver": 224, "umsstructuretag": 226}

    told = re.findall(r"(?m)^  option (\S+) (.*);$", leases.read_text())
    assert ours == {names[name]: _bytes(value) for name, value in told if name in names}


def _bytes(value: str) -> str:
    """How dhclient writes bytes: as a text in quotation marks where it can, else as numbers with colons."""
    if value.startswith('"'):
        return value.strip('"').encode().hex()
    return "".join(part.zfill(2) for part in value.split(":"))


@pytest.mark.parametrize("kind", PROGRAMS)
def test_static_addresses(kind: ServerKind, tmp_path: Path, network: Lan) -> None:
    """Clients that have addresses get the options that others get with a lease, and leave no lease behind."""
    need(PROGRAMS[kind])
    with serving(kind, configuration(Wanted("192.0.2.10", "HQ"), kind), tmp_path, network, DIRECT):
        shown = network.umslab(*ON_LINK, "--static", "10.77.0.60", "--clients", "3")

    assert ({"informed": 3}, 0) == (shown["outcomes"], shown["released"])
    assert ["10.77.0.60", "10.77.0.61", "10.77.0.62"] == [client["address"] for client in shown["clients"]]
    assert {("192.0.2.10", "HQ")} == {(one["igel"]["server"], one["igel"]["tag"]) for one in shown["clients"]}
    assert "10.77.0.6" not in (tmp_path / LEASES[kind]).read_text()
