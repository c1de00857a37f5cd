# SPDX-License-Identifier: Apache-2.0
"""Proof that mDNS stays on loopback and in namespaces that umslab made, unless the user names an address to speak from.

The counters of a cable tell whether anything left, also what the kernel says by itself when a group is joined (IGMP).
Cases where something may leave show that the counters would tell. Needs root and iproute2.
"""

from __future__ import annotations

import signal
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from .cable import HERE, namespace, sent

if TYPE_CHECKING:
    from pathlib import Path

UMSLAB = (sys.executable, "-m", "umslab")
SEARCH = ("device", "--once", "--sources", "mdns")
SERVE = (
    "serve",
    "--port",
    "0",
    "--set",
    "certificates.root_key=p-256",
    "--set",
    "certificates.web_key=p-256",
    "--set",
    "os11.key=p-256",
)


def inside(name: str, state: Path, *arguments: str) -> subprocess.Popen[str]:
    """Start umslab in the namespace."""
    command = ["ip", "netns", "exec", name, *UMSLAB, *arguments, "--state", str(state)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)


def said(process: subprocess.Popen[str], *, until: str = "") -> str:
    """What it says up to a word, or to its end; a server that has said it is stopped."""
    assert process.stdout is not None
    lines: list[str] = []
    for line in process.stdout:
        lines.append(line)
        if until and until in line:
            process.send_signal(signal.SIGTERM)
            until = ""
    process.stdout.close()
    process.wait(30)
    assert not until, "".join(lines)
    return "".join(lines)


@pytest.mark.parametrize(
    ("prefix", "arguments", "words"),
    [
        ("lab-", SEARCH, "nobody announced a UMS"),
        ("lab-", (*SEARCH, "--mdns-on", "8.8.8.8"), "public address"),
        ("umslab-", (*SEARCH, "--mdns-on", "8.8.8.8"), "public address"),
        ("umslab-", (*SEARCH, "--mdns-on", "192.168.77.8"), "not an address of this machine"),
        ("lab-", (*SERVE, "--mdns", "--listen", HERE, "--allow-remote"), f"say so with --mdns-on {HERE}"),
    ],
)
def test_no_packet(prefix: str, arguments: tuple[str, ...], words: str, tmp_path: Path) -> None:
    """On loopback alone, or refused in words: nothing has left."""
    with namespace(prefix) as name:
        before = sent(name)

        assert words in said(inside(name, tmp_path, *arguments))
        assert before == sent(name)


def test_a_server_on_loopback(tmp_path: Path) -> None:
    """It announces itself and says goodbye, and nothing has left."""
    with namespace("lab-") as name:
        before = sent(name)
        output = said(inside(name, tmp_path, *SERVE, "--mdns"), until="announced by mDNS")

        assert "Traceback" not in output
        assert before == sent(name)


@pytest.mark.parametrize(
    ("prefix", "arguments", "until"),
    [
        ("umslab-", SEARCH, ""),
        ("lab-", (*SEARCH, "--mdns-on", HERE), ""),
        ("lab-", (*SERVE, "--mdns-on", HERE, "--listen", HERE, "--allow-remote"), "announced by mDNS"),
    ],
)
def test_counters_would_tell(prefix: str, arguments: tuple[str, ...], until: str, tmp_path: Path) -> None:
    """What may leave does leave, and is seen."""
    with namespace(prefix) as name:
        before = sent(name)

        assert "Traceback" not in said(inside(name, tmp_path, *arguments), until=until)
        assert sent(name) > before
