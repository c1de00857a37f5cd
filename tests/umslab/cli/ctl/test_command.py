# SPDX-License-Identifier: Apache-2.0
"""`umslab ctl command`: commands to devices that are away, on a real server."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from tests.support.here import run_here
from umslab import exit_codes
from umslab.cli.ctl.command import WHAT
from umslab_protocol.wire.orders import CommandName

from .terminal import IDS, ctl, ctl_json, ctl_refused, import_devices

if TYPE_CHECKING:
    from tests.support.process import ServerProcess


@pytest.fixture(scope="module", autouse=True)
def imported(server: ServerProcess) -> None:
    """Three devices that nobody has seen yet."""
    import_devices(server)


def _failed(server: ServerProcess, *arguments: str) -> str:
    done = run_here("ctl", "command", *arguments, "--state", str(server.state))
    assert (exit_codes.FAILED, "") == (done.returncode, done.stderr)
    return str(done.stdout)


def test_every_command_is_a_verb() -> None:
    """Each has its sentence."""
    assert set(CommandName) == set(WHAT)


def test_results_as_they_come(server: ServerProcess) -> None:
    """A line for each device and a summary; exit code 3 because they are away (WL6)."""
    lines = _failed(server, "reboot", IDS[0], IDS[1]).splitlines()

    assert lines[0].endswith(": 2 devices")
    assert {"[1/2]", "[2/2]"} == {line.split()[0] for line in lines[1:3]}
    assert all("FAILED  Found no IP address for device" in line for line in lines[1:3])
    assert "2 FAILED" == lines[3]


def test_as_json(server: ServerProcess) -> None:
    """One document with the execution and its tasks."""
    command = json.loads(_failed(server, "message", "--all", "--param", "text=hi", "--json"))["command"]

    assert ("message", {"text": "hi"}, 3) == (command["command"], command["parameters"], command["devices"])
    assert set(IDS) == {task["unit_id"] for task in command["tasks"]}


def test_force(server: ServerProcess) -> None:
    """A parameter of one command; of every other the server says that it has none."""
    command = json.loads(_failed(server, "checkreenroll", IDS[0], "--force", "--json"))["command"]

    assert {"force": "true"} == command["parameters"]
    assert "has no parameter 'force'; it has none" in ctl_refused(server, "command", "reboot", IDS[0], "--force")


def test_next_boot_list_results_cancel(server: ServerProcess) -> None:
    """Kept for the next boot, found in the list, shown, given up."""
    out = ctl(server, "command", "shutdown", IDS[2], "--retry-at-boot", "--timeout", "1m", "--parallel", "2")
    exec_id = out.split(":")[0]
    listed = ctl_json(server, "executions", "command", "list")
    results: Any = ctl_json(server, "results", "command", "results", exec_id)

    assert "1 at-next-boot" in out
    assert exec_id == listed[0]["exec_id"]
    assert [IDS[2], "at-next-boot"] == [results["tasks"][0][key] for key in ("unit_id", "state")]
    assert (60.0, 2) == (results["execution"]["timeout_seconds"], results["execution"]["parallel"])
    assert exec_id in ctl(server, "command", "list", "--limit", "1")
    assert "at-next-boot" in ctl(server, "command", "results", exec_id)
    assert "1 cancelled" in ctl(server, "command", "cancel", exec_id)
    assert "is over already" in ctl_refused(server, "command", "cancel", exec_id)


def test_no_wait(server: ServerProcess) -> None:
    """The command is given, and its results are looked at later."""
    done = run_here("ctl", "command", "suspend", IDS[0], "--no-wait", "--state", str(server.state))

    assert "see `umslab ctl command results`" in done.stdout


def test_following_what_is_over(server: ServerProcess) -> None:
    """The same lines as for who gave it, the same exit code, the same as JSON."""
    given = _failed(server, "reboot", IDS[0])
    exec_id = given.split(":")[0]

    assert given == _failed(server, "follow", exec_id)
    assert exec_id == json.loads(_failed(server, "follow", exec_id, "--json"))["command"]["exec_id"]
    assert "there is no execution" in ctl_refused(server, "command", "follow", "x")


def test_refused(server: ServerProcess) -> None:
    """Each in one line."""
    assert "which devices?" in ctl_refused(server, "command", "reboot")
    assert "use only one" in ctl_refused(server, "command", "reboot", "--all", "--dir", "/")
    assert "needs --param text" in ctl_refused(server, "command", "message", "--all")
    assert "write NAME=VALUE" in ctl_refused(server, "command", "message", "--all", "--param", "text")
    assert "is no duration" in ctl_refused(server, "command", "reboot", "--all", "--timeout", "soon")
    assert "is not a unit ID" in ctl_refused(server, "command", "reboot", "00:e0")
    assert "no device has" in ctl_refused(server, "command", "reboot", "02FFFFFFFFFF")
    assert "there is no view" in ctl_refused(server, "command", "reboot", "--view", "x")
    assert "there is no directory" in ctl_refused(server, "command", "reboot", "--dir", "/x")
    assert "there is no execution" in ctl_refused(server, "command", "results", "x")
