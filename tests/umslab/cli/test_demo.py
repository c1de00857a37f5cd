# SPDX-License-Identifier: Apache-2.0
"""The demo shows what it promises, leaves nothing (no server, no file where it was started), works a second time."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from tests.support.process import UMSLAB, clean_environment

WORDS = (
    "25 managed", "all 25 have confirmed", "all 25 rebooted", "all 25 managed again", "has forgotten certificate",
    "5 answer the online check, and all 30", "without power is offline", "IGEL code 38", "IGEL code 37", "IGEL code 46",
)  # fmt: skip


def _servers() -> set[str]:
    """Command lines of running servers."""
    found = set()
    for entry in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            line = entry.read_bytes()
        except OSError:
            continue
        if b"umslab\0serve" in line and b"umslab-demo-" in line:
            found.add(line.decode())
    return found


@pytest.mark.slow
def test_twice(tmp_path_factory: pytest.TempPathFactory) -> None:
    """Two runs in a row, each with its summary and nothing left."""
    scratch = tmp_path_factory.mktemp("demo")
    for _ in range(2):
        done = subprocess.run(
            [*UMSLAB, "demo"], capture_output=True, text=True, check=False, timeout=180, cwd=scratch,
            env=clean_environment() | {"TMPDIR": str(scratch), "HOME": str(scratch), "COLUMNS": "160"},
        )  # fmt: skip

        assert (0, "") == (done.returncode, done.stderr)
        for word in WORDS:
            assert word in done.stdout
        assert set() == _servers()
        assert [] == list(scratch.iterdir())
