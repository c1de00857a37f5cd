# SPDX-License-Identifier: Apache-2.0
"""Proof that online checks, scans and magic packets leave only where the target policy says so.

Each case has a fresh namespace with one cable; the counters of its interfaces tell whether anything left. Cases where
something may leave show that the counters would tell. Needs root and iproute2.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from umslab_protocol.values.unit_id import UnitId
from umslab_runtime.net_trio import TrioNetwork
from umslab_runtime.policy import TargetPolicy, TargetRefusedError
from umslab_runtime.streams import Address

from .cable import HERE, NEIGHBOUR, namespace, sent

ROOT = Path(__file__).parents[2]
DEVICE = f"020000000001@{NEIGHBOUR}"
SUBNET = f"{NEIGHBOUR.rpartition('.')[0]}.255"


def umslab(name: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run a verb in the namespace."""
    verb = (sys.executable, "-m", "umslab", *arguments, "--timeout", "0.2")
    return subprocess.run(
        ["ip", "netns", "exec", name, *verb], cwd=ROOT, capture_output=True, text=True, timeout=60, check=False
    )


@pytest.mark.parametrize(
    ("prefix", "arguments", "words"),
    [
        ("lab-", ("scan",), "only inside a network namespace whose name begins with umslab-"),
        ("lab-", ("scan", "255.255.255.255", "--i-own", "255.255.255.255"), "only inside a network namespace"),
        ("lab-", ("scan", NEIGHBOUR), f"say so with --i-own {NEIGHBOUR}"),
        ("lab-", ("scan", NEIGHBOUR, "--tcp"), f"say so with --i-own {NEIGHBOUR}"),
        ("lab-", ("scan", SUBNET, "--i-own", SUBNET), "Permission denied"),
        ("lab-", ("scan", "8.8.8.8", "--i-own", "8.8.8.8"), "public address"),
        ("lab-", ("online-check", DEVICE), f"say so with --i-own {NEIGHBOUR}"),
        ("umslab-", ("scan", "8.8.8.8"), "public address"),
        ("umslab-", ("scan", "224.0.0.251"), "not the address of one machine"),
        ("umslab-", ("online-check", "020000000001@8.8.8.8"), "public address"),
    ],
)
def test_refusals_send_no_packet(prefix: str, arguments: tuple[str, ...], words: str) -> None:
    """Refused in words, and nothing has left."""
    with namespace(prefix) as name:
        before = sent(name)
        done = umslab(name, *arguments)

        assert words in done.stdout + done.stderr
        assert done.returncode in {1, 3}
        assert before == sent(name)


@pytest.mark.parametrize(
    ("prefix", "arguments"),
    [
        ("umslab-", ("scan",)),
        ("umslab-", ("scan", NEIGHBOUR)),
        ("umslab-", ("scan", NEIGHBOUR, "--tcp")),
        ("umslab-", ("online-check", DEVICE)),
        ("lab-", ("scan", NEIGHBOUR, "--i-own", NEIGHBOUR)),
        ("lab-", ("online-check", DEVICE, "--i-own", NEIGHBOUR)),
    ],
)
def test_counters_would_tell(prefix: str, arguments: tuple[str, ...]) -> None:
    """What may leave does leave, and is seen."""
    with namespace(prefix) as name:
        before = sent(name)
        done = umslab(name, *arguments)

        assert 3 == done.returncode, done.stderr
        assert sent(name) > before


async def test_answers_of_devices_obey_the_policy_too() -> None:
    """A device of a probe that claims to come from elsewhere calls nobody; one that could be real answers nobody."""
    endpoint = await TrioNetwork(TargetPolicy()).udp("127.0.0.1", 0)
    with pytest.raises(TargetRefusedError, match="--i-own"):
        endpoint.send_to(b"x", Address(HERE, 1), unit_id=UnitId("020000000001"))
    with pytest.raises(TargetRefusedError, match="public address"):
        endpoint.send_to(b"x", Address("8.8.8.8", 1), unit_id=UnitId("020000000001"))
    endpoint.close()
