# SPDX-License-Identifier: Apache-2.0
"""Strangers on UDP 30005 and 9: nmap and socat see the ports, ask, and are asked; broadcasts in namespaces."""

from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING, Any

import pytest

from tests.support.neighbours import neighbours, unit_id
from umslab_protocol.values.unit_id import MacAddress
from umslab_protocol.wire.magic_packet import write_magic_packet
from umslab_protocol.wire.probes import read_online_answer, read_scan_answer, write_online_check, write_scan

from .dhcp_lab import CLIENT, lan
from .strangers import in_background, need, run

if TYPE_CHECKING:
    from collections.abc import Iterator

ADDRESS = "127.3.3.1"
NONCE = bytes(range(16))


@pytest.fixture(scope="module")
def port() -> Iterator[int]:
    """A device."""
    with neighbours([ADDRESS]) as port:
        yield port


def _socat(port: int, payload: bytes) -> bytes:
    """Send a datagram with socat and return what comes back to it."""
    need("socat")
    return run("socat", "-t", "2", "-", f"UDP4:{ADDRESS}:{port}", stdin=payload).stdout


def test_socat_asks_and_is_answered(port: int) -> None:
    """With port 0 in the probe the answer comes to where it was sent from; rubbish gets none."""
    assert (NONCE, unit_id(1)) == read_online_answer(_socat(port, write_online_check(unit_id(1), NONCE, 0)))
    assert unit_id(1) == read_scan_answer(_socat(port, write_scan(NONCE, 0))).unit_id
    assert b"" == _socat(port, b"hello")


def test_nmap_sees_the_port(port: int) -> None:
    """Open when it is asked in the right words, open or filtered in others; where nobody listens it is closed."""
    need("nmap")
    hexadecimal = write_scan(NONCE, 0).hex()
    seen = run("nmap", "-sU", "-Pn", "-n", "-p", str(port), "--data", hexadecimal, "--max-retries", "1", ADDRESS)
    nobody = run("nmap", "-sU", "-Pn", "-n", "-p", str(port), "--max-retries", "1", "127.3.99.1")

    assert f"{port}/udp open" in seen.out
    assert nobody.code == 0


def test_socat_is_asked(tmp_path: Any) -> None:
    """What `umslab online-check` sends is what the document says."""
    need("socat")
    taken = tmp_path / "probe"
    with in_background("socat", "-u", "-d", "-d", "UDP4-RECV:30905,bind=127.3.3.9", f"CREATE:{taken}") as daemon:
        daemon.wait_for("starting data transfer loop")
        run(
            sys.executable, "-m", "umslab", "online-check", "020000000001@127.3.3.9:30905", "--timeout", "0.5",
            check=False,
        )  # fmt: skip
        probe = taken.read_bytes()

    assert 42 == len(probe)
    assert b"uSIM\x01\x01" == probe[:6]
    assert b"020000000001" + bytes(6) == probe[24:]


def _in(name: str, *arguments: str) -> dict[str, Any]:
    verb = (sys.executable, "-m", "umslab", *arguments, "--json")
    done = run("ip", "netns", "exec", name, *verb, check=False)
    assert done.code in {0, 3}, done.err
    return dict(json.loads(done.out))


def test_broadcast_scan_inside_namespaces_finds_exactly_the_devices_there() -> None:
    """All of the neighbour's, from their own addresses, and not those of who scans; each answers checks there."""
    with lan() as names, neighbours(["127.3.4.1"], port=30_005, prefix=("ip", "netns", "exec", names.server)):
        here = [f"10.77.0.{number}" for number in (10, 11, 12)]
        for address in here:
            run("ip", "-n", names.client, "addr", "add", f"{address}/24", "dev", "eth0")
        inside = ("ip", "netns", "exec", names.client)
        with neighbours(here, interface="eth0", port=30_005, prefix=inside, namespace=True):
            scanned = _in(names.server, "scan", "--timeout", "5")["scan"]
            targets = [f"{unit_id(number)}@{address}" for number, address in enumerate(here, 1)]
            checked = _in(names.server, "online-check", *targets, "--timeout", "5")["online_check"]

    found = [(one["unit_id"], one["address"]) for one in scanned["devices"]]
    assert [(unit_id(number), address) for number, address in enumerate(here, 1)] == found
    assert {"online": 3} == checked["counts"]


def test_tshark_knows_our_magic_packet() -> None:
    """Wireshark's dissector names the MAC address that is woken."""
    packet = write_magic_packet(MacAddress("020000000001"))
    need("tshark", "socat")
    with lan() as names:
        inside = ("ip", "netns", "exec", names.client)
        shown = ("-f", "udp port 9", "-T", "fields", "-e", "wol.mac")
        capture = (*inside, "tshark", "-l", "-n", "-i", "eth0", "-c", "1", *shown)
        with in_background(*capture) as daemon:
            daemon.wait_for("Capturing on")
            send = f"UDP4-DATAGRAM:{CLIENT}:9"
            for _ in range(5):
                run("ip", "netns", "exec", names.server, "socat", "-u", "-", send, stdin=packet)
            daemon.wait_for("02:00:00:00:00:01")
