# SPDX-License-Identifier: Apache-2.0
"""Somebody at a terminal who types `umslab ctl`."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from tests.support.here import run_here

if TYPE_CHECKING:
    from tests.support.process import ServerProcess

IDS = ("02AAAAAAAA01", "02AAAAAAAA02", "02AAAAAAAA03")


def import_devices(server: ServerProcess) -> None:
    """Three devices that nobody has seen yet."""
    server.ask("devices.import", csv="".join(f"{unit_id};device {unit_id[-1]};;\n" for unit_id in IDS))


def ctl(server: ServerProcess, *arguments: str, stdin: str = "") -> str:
    """Type a command that succeeds; return what it prints."""
    done = run_here("ctl", *arguments, "--state", str(server.state), stdin=stdin)
    assert (0, "") == (done.returncode, done.stderr)
    return str(done.stdout)


def ctl_json(server: ServerProcess, kind: str, *arguments: str) -> Any:
    """Type a command with --json; return what the document holds under its kind."""
    document = json.loads(ctl(server, *arguments, "--json"))
    assert 1 == document["version"]
    return document[kind]


def ctl_refused(server: ServerProcess, *arguments: str) -> str:
    """Type a command that is refused in one line; return the line."""
    done = run_here("ctl", *arguments, "--state", str(server.state))
    assert 0 != done.returncode
    assert "Traceback" not in done.stderr
    assert 1 == len(done.stderr.strip().splitlines())
    return str(done.stderr)
