# SPDX-License-Identifier: Apache-2.0
"""`umslab demo --discovery` shows what it promises with a real dnsmasq, and leaves nothing, also at Ctrl-C."""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path

import pytest

from .dhcp_lab import lan
from .strangers import in_background, need, run

DEMO = (sys.executable, "-m", "umslab", "demo", "--discovery")
WORDS = (
    "the UMS has its tag HQ", "the wrong option 224 does not count", "reads option 224 only", "search domain",
    "the next source asked", "the options come all the same", "IGEL code 38",
)  # fmt: skip


@pytest.fixture(autouse=True)
def _possible() -> None:
    need("dnsmasq", "ip")
    with lan():
        pass  # skips where namespaces are not allowed


def _left(scratch: Path, pid: int) -> list[str]:
    """What a demo left: files, namespaces, processes."""
    files = [str(path) for path in scratch.iterdir()]
    spaces = [line for line in run("ip", "netns", "list").out.splitlines() if line.split()[0].endswith(f"-demo-s{pid}")]
    running = []
    for entry in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            command = entry.read_bytes()
        except OSError:
            continue
        if str(scratch).encode() in command:
            running.append(command.decode())
    return files + spaces + running


def test_whole(tmp_path: Path) -> None:
    """Each step with its result, and a summary."""
    environment = {**os.environ, "TMPDIR": str(tmp_path), "COLUMNS": "200"}
    with in_background(*DEMO, env=environment) as demo:
        demo.wait_for("what the demo showed", seconds=120)
        assert 0 == demo.wait()
        for word in WORDS:
            assert word in demo.log
    assert [] == _left(tmp_path, demo.pid)


def test_interrupted(tmp_path: Path) -> None:
    """In the middle of it; exit code 130."""
    environment = {**os.environ, "TMPDIR": str(tmp_path), "COLUMNS": "200"}
    with in_background(*DEMO, env=environment) as demo:
        demo.wait_for("2. the DHCP server", seconds=60)
        demo.signal(signal.SIGINT)
        assert 130 == demo.wait()
    assert [] == _left(tmp_path, demo.pid)
