# SPDX-License-Identifier: Apache-2.0
"""Proof that no question leaves for a name server that the user did not name, or that is public.

As in test_dhcp_policy.py: a fresh namespace with one cable, whose counters tell whether anything left.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from .cable import HERE, NEIGHBOUR, namespace, sent

ROOT = Path(__file__).parents[2]
WITH_FILE = 'mount --bind "$0" /etc/resolv.conf && exec "$@"'
"""In the mount namespace that `ip netns exec` makes."""
ASK = ("--sources", "dns", "--search-domain", "lab.example")
SAY_SO = f"say so with --i-own {NEIGHBOUR}"


def device(name: str, folder: Path, nameserver: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Let a device look for its UMS in the namespace, where this is the name server of /etc/resolv.conf."""
    file = folder / "resolv.conf"
    file.write_text(f"nameserver {nameserver}\n")
    verb = (sys.executable, "-m", "umslab", "device", "--once", "--state", str(folder / "device"), *arguments)
    return subprocess.run(
        ["ip", "netns", "exec", name, "sh", "-c", WITH_FILE, file, *verb],
        cwd=ROOT, capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip


@pytest.mark.parametrize(
    ("prefix", "nameserver", "arguments", "words"),
    [
        ("lab-", NEIGHBOUR, ASK, SAY_SO),
        ("lab-", NEIGHBOUR, (*ASK, "--i-own", HERE), SAY_SO),
        ("lab-", "8.8.8.8", ASK, "public address"),
        ("lab-", "8.8.8.8", (*ASK, "--i-own", "8.8.8.8"), "public address"),
        ("lab-", NEIGHBOUR, (*ASK, "--nameserver", "8.8.8.8"), "public address"),
        ("umslab-", "8.8.8.8", ASK, "public address"),
    ],
)
def test_refusals_send_no_packet(
    prefix: str, nameserver: str, arguments: tuple[str, ...], words: str, tmp_path: Path
) -> None:
    """Refused in words, and nothing has left, not even a question for the neighbour's MAC address."""
    with namespace(prefix) as name:
        before = sent(name)
        done = device(name, tmp_path, nameserver, *arguments)

        assert 3 == done.returncode, done.stdout + done.stderr
        assert words in done.stdout
        assert before == sent(name)


def test_counters_would_tell(tmp_path: Path) -> None:
    """With the user's word the question does leave, and is seen."""
    with namespace("lab-") as name:
        before = sent(name)
        done = device(name, tmp_path, NEIGHBOUR, *ASK, "--i-own", NEIGHBOUR)

        assert 3 == done.returncode, done.stdout + done.stderr
        assert sent(name) > before
