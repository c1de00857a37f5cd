# SPDX-License-Identifier: Apache-2.0
"""Outside loopback a fleet is small, unless the server proves that it was started for load.

In a network namespace made for the purpose, which umslab does not take for one of its own: server and fleet meet on an
address that is not loopback. Needs root and iproute2.
"""

from __future__ import annotations

import json
import os
import secrets
import shutil
import subprocess
import sys
from contextlib import ExitStack
from typing import TYPE_CHECKING

import pytest

from tests.support.process import UMSLAB, ServerProcess, clean_environment, serving_inside

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

HERE = "192.168.77.2"
KEY = "load-key"
MANY = ("-n", "12", "--at-once")
"""More than five arrive in a second."""


@pytest.fixture(scope="module")
def namespace() -> Iterator[str]:
    """The name of a namespace with one address."""
    if not sys.platform.startswith("linux") or os.geteuid() != 0 or shutil.which("ip") is None:
        pytest.skip("root and the program ip (iproute2) are needed to make a network namespace")
    name = f"load-{secrets.token_hex(4)}"
    if _ip("netns", "add", name):
        pytest.skip("this machine makes no network namespace")
    with ExitStack() as stack:
        stack.callback(_ip, "netns", "del", name)
        for arguments in (
            ("link", "set", "lo", "up"),
            ("link", "add", "here", "type", "veth", "peer", "name", "there"),
            ("link", "set", "here", "up"),
            ("address", "add", f"{HERE}/24", "dev", "here"),
        ):
            assert 0 == _ip("-n", name, *arguments)
        yield name


def _ip(*arguments: str) -> int:
    return subprocess.run(["ip", *arguments], capture_output=True, check=False).returncode


def _fleet(namespace: str, server: ServerProcess, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [
            *("ip", "netns", "exec", namespace, *UMSLAB, "fleet", "run", f"{HERE}:{server.port}", "--i-own", HERE),
            *("--auth-key", KEY, "--json", *arguments),
        ],
        capture_output=True,
        text=True,
        check=False,
        env=clean_environment(),
        timeout=120,
    )


def test_limits_hold_without_a_proof(namespace: str, tmp_path: Path) -> None:
    """A server that was not started for load, as every real UMS: refused with the way out, and no device has come."""
    with serving_inside(namespace, tmp_path / "state", HERE, key=KEY) as server:
        many = _fleet(namespace, server, *MANY, "--token", server.about["token"])
        few = _fleet(namespace, server, "-n", "2", "--at-once", "--seed", "2", "--token", server.about["token"])

    assert 2 == many.returncode
    assert "is outside this machine: a fleet there has at most 100 devices" in many.stderr
    assert "does not prove that it was started with `umslab serve --for-load`" in many.stderr
    assert "phase" not in many.stderr
    assert 0 == few.returncode, few.stderr


def test_a_proof_lifts_them(namespace: str, tmp_path: Path) -> None:
    """Only for who names the right root: without a token, and with another server's, the limits hold."""
    with serving_inside(namespace, tmp_path / "state", HERE, "--for-load", key=KEY) as server:
        good = _fleet(namespace, server, *MANY, "--token", server.about["token"], "--processes", "2")
        unnamed = _fleet(namespace, server, *MANY, "--seed", "2")
        other = _fleet(namespace, server, *MANY, "--seed", "3", "--token", "0123456789ABCDEF")

    assert 0 == good.returncode, good.stderr
    assert 12 == json.loads(good.stdout)["report"]["managed"]
    assert "has proved that it was started for load" in good.stderr
    assert (2, 2) == (unnamed.returncode, other.returncode)
    assert "name the server's root with --token" in unnamed.stderr
    assert "communication token" in other.stderr
