# SPDX-License-Identifier: Apache-2.0
"""`umslab fleet run` on a terminal: a live picture, plain lines on request, and Ctrl-C leaves all in order."""

from __future__ import annotations

import os
import pty
import signal
import subprocess
from typing import TYPE_CHECKING

import pytest

from tests.support.process import UMSLAB, ServerProcess, clean_environment

if TYPE_CHECKING:
    from collections.abc import Callable

KEY = "live-key"
HIDE, SHOW = b"\x1b[?25l", b"\x1b[?25h"


@pytest.fixture(scope="module", autouse=True)
def key(server: ServerProcess) -> None:
    """A mass-deployment key."""
    server.ask("keys.create", kind="mass", chosen=KEY)


def _on_terminal(server: ServerProcess, *arguments: str, until: Callable[[bytes], bool]) -> tuple[int, bytes]:
    """Run with a terminal as standard error; interrupt when it has shown enough."""
    ours, theirs = pty.openpty()
    with subprocess.Popen(
        [
            *UMSLAB,
            "fleet",
            "run",
            f"localhost:{server.port}",
            "-n",
            "400",
            "--rate",
            "20",
            "--auth-key",
            KEY,
            *arguments,
        ],
        stdout=subprocess.DEVNULL,
        stderr=theirs,
        env=clean_environment() | {"TERM": "xterm", "COLUMNS": "100", "LINES": "40"},
        start_new_session=True,
    ) as running:
        os.close(theirs)
        shown, stopped = b"", False
        while data := _read(ours):
            shown += data
            if not stopped and until(shown):
                stopped = True
                running.send_signal(signal.SIGINT)
        os.close(ours)
        return running.wait(timeout=60), shown


def _read(terminal: int) -> bytes:
    try:
        return os.read(terminal, 65536)
    except OSError:  # the other end is closed
        return b""


@pytest.mark.parametrize("processes", ["1", "2"])
def test_live_until_ctrl_c(server: ServerProcess, processes: str) -> None:
    """The picture is drawn, and at the end the cursor is there and no traceback."""
    code, shown = _on_terminal(
        server, "--seed", f"7{processes}", "--processes", processes, until=lambda seen: b"event loop" in seen
    )

    assert 3 == code
    assert b"a second intended" in shown
    assert shown.rindex(SHOW) > shown.rindex(HIDE)
    assert b"Traceback" not in shown


def test_plain_lines_on_request(server: ServerProcess) -> None:
    """Also on a terminal."""
    code, shown = _on_terminal(server, "--seed", "73", "--plain", until=lambda seen: b" managed" in seen)

    assert 3 == code
    assert b"\x1b" not in shown
