# SPDX-License-Identifier: Apache-2.0
"""An OS 11 device sleeps by command and wakes on a real magic packet (WL1-WL5): two namespaces, the real ports."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import pytest
import trio

from umslab_runtime.control import connect_control

from . import discovery_lab
from .dhcp_lab import CLIENT, SERVER, lan
from .strangers import in_background, need, run

UNIT_ID = "020000000011"
MAC = "02:00:00:00:00:11"
FIELDS = ("-e", "ip.dst", "-e", "wol.mac")
SETTINGS = ("os11.key=p-256", "enrolment.automatic=true", "online_check.interval_seconds=0.5")


def command(state: Path, *arguments: str) -> tuple[str, str]:
    """Give the device a command as a user does; state and message of its result."""
    done = run(sys.executable, "-m", "umslab", "ctl", "command", *arguments, UNIT_ID, "--state", state, "--json")
    (task,) = json.loads(done.out)["command"]["tasks"]
    return task["state"], task["message"]


def until(state: Path, kind: str, after: int = 0) -> int:
    """Wait for an event of this kind with a greater number than this; returns its number."""
    return trio.run(_until, Path(json.loads((state / "server" / "server.json").read_text())["control"]), kind, after)


async def _until(control: Path, kind: str, after: int) -> int:
    found = 0
    with trio.fail_after(60), trio.CancelScope() as scope:
        async with connect_control(control) as client:

            def note(event: Any) -> None:
                nonlocal found
                if kind == event["kind"]:
                    found = event["id"]
                    scope.cancel()

            await client.call("events", note, after=after, follow=True)
    return found


@pytest.mark.parametrize(
    ("order", "said", "way", "to"),
    [
        ("suspend", "suspended", "broadcast", "255.255.255.255"),
        ("shutdown", "shut down", "last_address", CLIENT),
    ],
)
def test_it_really_wakes(tmp_path: Path, order: str, said: str, way: str, to: str) -> None:
    """Online, away, offline, woken by one packet that tshark knows, online again; who was off has booted."""
    need("tshark")
    chosen = {"broadcast": "false", "last_address": "false"} | {way: "true"}
    wake = [f"wake_on_lan.{name}={value}" for name, value in chosen.items()]
    state = tmp_path / "ums"
    with lan() as names, discovery_lab.ums(names, tmp_path, *SETTINGS, *wake):
        there = ("ip", "netns", "exec", names.client)
        capture = (*there, "tshark", "-l", "-n", "-i", "eth0", "-f", "udp port 9", "-T", "fields", *FIELDS)
        with in_background(*capture) as seen, in_background(*there, *_device(tmp_path)) as device:
            seen.wait_for("Capturing on")
            managed, _ = device.wait_for("managed; listening")
            online = until(state, "device-reachable")
            assert "SUCCESS" == command(state, order)[0]
            device.wait_for(said)
            away = until(state, "device-unreachable", online)
            assert ("SUCCESS", f"magic packets sent: {to}") == command(state, "wakeup")
            seen.wait_for(f"{to}\t{MAC}")
            if order == "shutdown":
                until(state, "device-booted", away)
            device.wait_for("managed; listening", after=managed)
            until(state, "device-reachable", away)


def _device(path: Path) -> tuple[str, ...]:
    where = ("--listen", CLIENT, "--address", CLIENT, "--interface", "eth0", "--unit-id", UNIT_ID)
    state = ("--retry", "--state", str(path / "device"))
    return (sys.executable, "-m", "umslab", "device", SERVER, "--os", "11", *state, *where)
