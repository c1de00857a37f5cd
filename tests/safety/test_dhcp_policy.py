# SPDX-License-Identifier: Apache-2.0
"""Proof that no broadcast and no packet of our own leaves without the marker of a namespace.

Each case has a fresh namespace with one cable that both ends are in; the counters of its interfaces tell whether
anything left. Cases where something may leave show that the counters would tell. Needs root and iproute2.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from umslab_runtime.namespaces import Whereabouts, whereabouts
from umslab_runtime.net_trio import TrioNetwork
from umslab_runtime.policy import TargetPolicy, TargetRefusedError

from .cable import HERE, NEIGHBOUR, namespace, sent

ROOT = Path(__file__).parents[2]
RELAY = ("--relay", NEIGHBOUR, "--giaddr", HERE)
LINK = ("--interface", "here")


def lease(name: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run the verb in the namespace."""
    return umslab(name, "dhcp", "lease", "--timeout", "1", *arguments)


def umslab(name: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run the command in the namespace."""
    verb = (sys.executable, "-m", "umslab", *arguments)
    return subprocess.run(
        ["ip", "netns", "exec", name, *verb], cwd=ROOT, capture_output=True, text=True, timeout=30, check=False
    )


@pytest.mark.parametrize(
    ("prefix", "arguments", "words"),
    [
        ("lab-", RELAY, f"say so with --i-own {NEIGHBOUR}"),
        ("lab-", (*RELAY[:1], "255.255.255.255", *RELAY[2:]), "not the address of one machine"),
        ("lab-", (*RELAY[:1], "8.8.8.8", *RELAY[2:], "--i-own", "8.8.8.8"), "public address"),
        ("lab-", (*RELAY, "--i-own", NEIGHBOUR, "--clients", "11"), "at most 10 clients"),
        ("lab-", (*LINK, "--clients", "11"), "at most 10 clients"),
        ("lab-", (*LINK, "--mac", "00E0C5000001"), "could belong to a real device"),
        ("umslab-", (*RELAY[:1], "8.8.8.8", *RELAY[2:], "--i-own", "8.8.8.8"), "public address"),
        ("umslab-", (*LINK, "--mac", "00E0C5000001"), "could belong to a real device"),
        ("umslab-", ("--interface", "gone"), "the interface gone of this namespace cannot be used"),
        ("umslab-", ("--interface", "lo"), "is no Ethernet"),
    ],
)
def test_refusals_send_no_packet(prefix: str, arguments: tuple[str, ...], words: str) -> None:
    """Refused in words, and nothing has left, not even a question for the neighbour's MAC address."""
    with namespace(prefix) as name:
        before = sent(name)
        done = lease(name, *arguments)

        assert words in done.stderr
        assert done.returncode in {1, 2}
        assert before == sent(name)


@pytest.mark.parametrize(
    ("prefix", "arguments"),
    [
        ("lab-", (*RELAY, "--i-own", NEIGHBOUR)),
        ("lab-", LINK),
        ("umslab-", RELAY),
        ("umslab-", LINK),
        ("umslab-", (*RELAY[:1], "255.255.255.255", *RELAY[2:])),
    ],
)
def test_counters_would_tell(prefix: str, arguments: tuple[str, ...]) -> None:
    """What may leave does leave, and is seen."""
    with namespace(prefix) as name:
        before = sent(name)
        done = lease(name, *arguments)

        assert 3 == done.returncode, done.stderr
        assert sent(name) > before


@pytest.mark.parametrize(
    ("prefix", "arguments", "words"),
    [
        ("lab-", ("--dhcp-relay", NEIGHBOUR, "--dhcp-giaddr", HERE), f"say so with --i-own {NEIGHBOUR}"),
        ("lab-", ("--dhcp-relay", "8.8.8.8", "--dhcp-giaddr", HERE, "--i-own", "8.8.8.8"), "public address"),
        ("umslab-", ("--dhcp-interface", "here", "--unit-id", "00E0C5000001"), "could belong to a real device"),
    ],
)
def test_devices_are_refused_too(prefix: str, arguments: tuple[str, ...], words: str, tmp_path: Path) -> None:
    """A device that is to lease by itself says why it does not, and nothing has left."""
    with namespace(prefix) as name:
        before = sent(name)
        done = umslab(name, "device", "--once", "--dhcp-timeout", "1", "--state", str(tmp_path), *arguments)

        assert 3 == done.returncode
        assert words in done.stdout + done.stderr
        assert before == sent(name)


def test_device_leases_in_a_namespace(tmp_path: Path) -> None:
    """Where it may ask, the counters tell that it did."""
    with namespace("umslab-") as name:
        before = sent(name)
        done = umslab(
            name, "device", "--once", "--dhcp-timeout", "1", "--state", str(tmp_path), "--dhcp-interface", "here"
        )

        assert 3 == done.returncode, done.stderr
        assert "nobody offered an address" in done.stdout
        assert sent(name) > before


async def test_marker_does_not_help_outside_of_a_namespace() -> None:
    """In the machine's own network no endpoint opens that could broadcast or make packets, whoever claims what."""
    if whereabouts() is not Whereabouts.MACHINE:
        pytest.skip("these tests themselves run in a network namespace")
    claims = TrioNetwork(TargetPolicy(namespace=True))

    with pytest.raises(TargetRefusedError, match="only inside a network namespace"):
        await claims.udp("127.0.0.1", 0)
    for network, named in ((claims, False), (claims, True), (TrioNetwork(), True), (TrioNetwork(), False)):
        with pytest.raises(TargetRefusedError, match="only inside a network namespace"):
            await network.packets("lo", user_named=named)
