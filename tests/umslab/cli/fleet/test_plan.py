# SPDX-License-Identifier: Apache-2.0
"""`umslab fleet plan` shows what would happen, and sends nothing."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import pytest

from umslab.cli.main import main
from umslab_agent.fleet.plan import make_plan
from umslab_agent.fleet.scenario import Scenario

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def plan(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Any:
    """Runs the verb; returns exit code and output."""

    def run(*arguments: str) -> tuple[object, str]:
        monkeypatch.setattr(sys, "argv", ["umslab", "fleet", "plan", *arguments])
        with pytest.raises(SystemExit) as ended:
            main()
        out, error = capsys.readouterr()
        assert "" == error
        return ended.value.code, out

    return run


def test_a_person_sees_what_would_happen(plan: Any) -> None:
    """Devices, mix, sites, a picture of arrivals, phases, keys, what is needed, the digest."""
    code, out = plan("boot-storm", "--devices", "40")

    assert 0 == code
    for words in (
        "500 enrolled devices",
        "40 OS 12 12.8.4 p-256",
        "40 building",
        "at most 1 in a second",
        "storm, power loss of building/2 for 5 s: 10 devices",
        "40 p-256",
        "lasts",
        "descriptors a process",
        "ports a source address",
        "memory",
    ):
        assert words in out
    assert any("█" in line for line in out.splitlines())


def test_a_machine_sees_the_same(plan: Any) -> None:
    """The digest is the plan's; with `--list` every device is there."""
    code, out = plan("--devices", "3", "--seed", "9", "--json", "--list")
    found = json.loads(out)["plan"]

    assert (0, True) == (code, found["fits"])
    assert make_plan(Scenario(devices=3, seed=9)).digest == found["digest"]
    assert 20 / 3 == pytest.approx(found["least_seconds"])
    assert [0, 1, 2] == [one["index"] for one in found["list"]]
    assert ["onboard", "drain"] == [phase["kind"] for phase in found["phases"]]


def test_devices_are_listed_for_people(plan: Any) -> None:
    """One a line."""
    _, out = plan("rollout", "--devices", "3", "--list")

    lines = [line for line in out.splitlines() if " s  12.8.4  p-256  " in line]

    assert 3 == len(lines)
    assert all(any(site in line for site in ("Bremen/1", "Augsburg/1", "Leeds/1")) for line in lines)


def test_what_does_not_fit(plan: Any) -> None:
    """Exit code 3, and what to change; more processes change it."""
    code, out = plan("--devices", "30000", "--ramp", "2h")
    fits, _ = plan("--devices", "30000", "--ramp", "2h", "--processes", "2")

    assert (3, 0) == (code, fits)
    assert "does not fit: descriptors a process. Change: --processes 2" in out


def test_shards_and_os11(plan: Any) -> None:
    """A shard says that it is one; OS 11 devices are counted."""
    code, out = plan("mixed-11-12", "--shard", "2/4", "--time-scale", "2")

    assert 0 == code
    assert "50  (shard 2/4 of 200)" in out
    assert "devices, each called at an address of its own" in out
    assert "time scale" in out


@pytest.mark.skipif(os.geteuid() != 0 or shutil.which("unshare") is None, reason="needs root and unshare (namespaces)")
def test_not_a_packet_is_sent(tmp_path: Path) -> None:
    """In a namespace of its own whose loopback counts packets, none is counted."""
    script = (
        'ip link set lo up; "$0" -m umslab fleet plan rollout --devices 500 >"$1" || exit 1; '
        "awk '/lo:/ {print $3, $11}' /proc/net/dev"
    )
    done = subprocess.run(
        ["unshare", "--net", "--", "sh", "-c", script, sys.executable, str(tmp_path / "out")],
        capture_output=True,
        text=True,
        check=True,
    )

    assert "0 0" == done.stdout.strip()
    assert "digest" in (tmp_path / "out").read_text()
