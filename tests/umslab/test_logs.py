# SPDX-License-Identifier: Apache-2.0
"""Logs hold no secrets and harm no terminal."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

PROGRAM = """
import sys, structlog
from umslab import logs
logs.configure(as_json={as_json}, level="info")
log = structlog.get_logger("test")
log.info("said \\x1b[31m", password="hunter2", auth_key="k", peer="\\x1b]0;x\\x07")
log.debug("not shown")
try:
    1 / 0
except ZeroDivisionError:
    log.exception("it broke")
"""


def _run(*, as_json: bool) -> str:
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM.format(as_json=as_json)], capture_output=True, text=True, check=True, timeout=30
    )
    assert done.stdout == ""
    return done.stderr


@pytest.mark.parametrize("as_json", [True, False])
def test_secrets_are_masked_and_levels_kept(as_json: bool) -> None:  # noqa: FBT001
    """A value under a secret's name never shows; debug lines stay away at level info."""
    text = _run(as_json=as_json)

    assert "hunter2" not in text
    assert "***" in text
    assert "not shown" not in text
    assert "ZeroDivisionError" in text


def test_json_lines_are_json() -> None:
    """Each line is one object with event, level and timestamp."""
    lines = [json.loads(line) for line in _run(as_json=True).splitlines()]

    assert [line["level"] for line in lines] == ["info", "error"]
    assert all(line["timestamp"].endswith("Z") for line in lines)


@pytest.mark.parametrize("as_json", [True, False])
def test_no_escape_sequence_reaches_the_terminal(as_json: bool) -> None:  # noqa: FBT001
    """Whatever a peer sent is escaped."""
    assert "\x1b" not in _run(as_json=as_json)
    assert "\x07" not in _run(as_json=as_json)
