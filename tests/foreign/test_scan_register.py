# SPDX-License-Identifier: Apache-2.0
"""A broadcast in a namespace of umslab's finds a device in another, and makes it register (O4): both generations."""

from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING, Any

import pytest

from tests.support.process import QUICK_KEYS

from .dhcp_lab import CLIENT, SERVER, lan
from .strangers import in_background, run

if TYPE_CHECKING:
    from pathlib import Path

UMSLAB = (sys.executable, "-m", "umslab")
UNIT_ID = "02AABBCCDD77"


@pytest.mark.parametrize("os", ["11", "12"])
def test_broadcast_scan_registers(tmp_path: Path, os: str) -> None:
    """Nobody has told the device where the UMS is, and no range of addresses was named."""
    states = [str(tmp_path / name) for name in ("ums", "device")]
    with lan() as names:
        inside, outside = (("ip", "netns", "exec", name) for name in (names.server, names.client))

        def ask(*arguments: str) -> Any:
            done = run(*inside, *UMSLAB, "ctl", *arguments, "--state", states[0], "--json", check=False)
            assert done.code == 0, done.err
            return json.loads(done.out)

        run("ip", "-n", names.client, "addr", "replace", f"{CLIENT}/24", "dev", "eth0")
        serve = ("serve", "--listen", SERVER, "--allow-remote", "--name", SERVER, "--state", states[0], *QUICK_KEYS)
        waiting = ("device", "--os", os, "--unit-id", UNIT_ID, "--address", CLIENT, "--interface", "eth0")
        with in_background(*inside, *UMSLAB, *serve) as server:
            server.wait_for("state folder")
            with in_background(*outside, *UMSLAB, *waiting, "--sources", "stored,scan", "--state", states[1]) as device:
                device.wait_for("waiting until a UMS finds this device")
                report = ask("scan", "--timeout", "3", "--register-all-new")["scan"]
                device.wait_for("managed")
                again = ask("scan", "--timeout", "3")["scan"]

    assert [(UNIT_ID, CLIENT, "new")] == [(one["unit_id"], one["address"], one["known"]) for one in report["devices"]]
    assert [{"unit_id": UNIT_ID, "registered": True, "why": ""}] == report["registrations"]
    assert [(True, "known")] == [(one["has_ums"], one["known"]) for one in again["devices"]]
