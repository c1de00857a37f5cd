# SPDX-License-Identifier: Apache-2.0
"""`umslab ctl`: the server itself; tables for people, versioned JSON for machines, the same truth in both."""

from __future__ import annotations

import json
import re
import subprocess
from typing import TYPE_CHECKING, Any

import pytest

from tests.support.here import run_here
from tests.support.process import UMSLAB, ServerProcess, clean_environment

from .terminal import IDS, ctl, ctl_json, ctl_refused, import_devices

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture(scope="module", autouse=True)
def imported(server: ServerProcess) -> None:
    """Three devices that nobody has seen yet."""
    import_devices(server)


def test_status(server: ServerProcess) -> None:
    """State, devices, sessions, and the same as JSON."""
    status = ctl_json(server, "status", "status")

    assert "ok" == status["state"]
    assert 3 <= status["devices"]["never-registered"] + status["devices"]["in-bin"]
    assert status["mdns"] is None
    text = ctl(server, "status")
    assert "never-registered" in text
    assert re.search(r"mDNS +off", text)


def test_events_without_secrets(server: ServerProcess) -> None:
    """What happened is told with kind and actor; no key is ever in it."""
    (key,) = ctl_json(server, "keys", "keys", "create")
    lines = [json.loads(line) for line in ctl(server, "events", "--json", "--limit", "1000").splitlines()]
    of_one = ctl(server, "events", "--device", IDS[2])

    assert {"key-created", "device-imported"} <= {line["kind"] for line in lines}
    assert key["secret"] not in json.dumps(lines)
    assert [line["id"] for line in lines] == sorted(line["id"] for line in lines)
    assert all(IDS[2] in line for line in of_one.splitlines())


def test_following_events(server: ServerProcess) -> None:
    """--follow shows what happens next, as it happens."""
    command = [*UMSLAB, "ctl", "events", "--follow", "--limit", "0", "--json", "--state", str(server.state)]
    follower = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=clean_environment())
    assert follower.stdout is not None
    with follower.stdout:
        seen = ""
        while "key-created" not in seen:  # the follower needs a moment to connect: give it events until it sees one
            server.ask("keys.create", kind="one-time")
            if _readable(follower.stdout):
                seen = follower.stdout.readline()
    follower.terminate()
    follower.wait(20)

    assert "key-created" == json.loads(seen)["kind"]


def _readable(stream: Any) -> bool:
    import select  # noqa: PLC0415

    return bool(select.select([stream], [], [], 0.2)[0])


def test_backup_and_restore(server: ServerProcess, tmp_path: Path) -> None:
    """A private file that never overwrites, and a restored state that serves under the same root."""
    file = tmp_path / "backup.tar"
    token = server.about["token"]

    assert "files" in ctl(server, "backup", str(file))
    assert 0o600 == file.stat().st_mode & 0o777
    assert "exists already" in ctl_refused(server, "backup", str(file))
    assert "in use" in ctl_refused(server, "restore", str(file))
    elsewhere = tmp_path / "elsewhere"
    done = run_here("ctl", "restore", str(file), "--state", str(elsewhere))
    assert 0 == done.returncode
    restored = ServerProcess(elsewhere)
    try:
        restored.start()
        assert token == restored.about["token"]
        assert IDS[2] in {one["unit_id"] for one in restored.ask("devices.list")}
    finally:
        restored.close()


@pytest.mark.parametrize("content", [b"", b"nonsense", b"\0" * 10_240])
def test_what_is_no_backup(tmp_path: Path, content: bytes) -> None:
    """A damaged file changes nothing."""
    (tmp_path / "x.tar").write_bytes(content)
    done = run_here("ctl", "restore", str(tmp_path / "x.tar"), "--state", str(tmp_path / "state"))

    assert 1 == done.returncode
    assert "Traceback" not in done.stderr
    assert not (tmp_path / "state" / "server").exists()
