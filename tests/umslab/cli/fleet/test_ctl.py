# SPDX-License-Identifier: Apache-2.0
"""`umslab fleet ctl` on a fleet that runs on loopback, as a user meets it."""

from __future__ import annotations

import json
import signal
import subprocess
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import pytest

from tests.support.here import run_here
from tests.support.process import UMSLAB, ServerProcess, clean_environment

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

KEY = "ctl-key"


@pytest.fixture(scope="module", autouse=True)
def key(server: ServerProcess) -> None:
    """A mass-deployment key."""
    server.ask("keys.create", kind="mass", chosen=KEY)


@contextmanager
def _running(server: ServerProcess, state: Path, *arguments: str) -> Iterator[subprocess.Popen[str]]:
    """A fleet of which at least one device has arrived."""
    with subprocess.Popen(
        [
            *(*UMSLAB, "fleet", "run", f"localhost:{server.port}", "--auth-key", KEY, "--state", str(state)),
            *("-n", "300", "--rate", "2", "--set", 'sites=[{name="a"},{name="b"}]', *arguments),
        ],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        env=clean_environment(),
        start_new_session=True,
    ) as running:
        assert running.stderr is not None
        for line in running.stderr:
            if " managed" in line:
                break
        try:
            yield running
        finally:
            running.send_signal(signal.SIGINT)
            running.communicate(timeout=60)


def test_a_fleet_is_asked_and_steered(server: ServerProcess, tmp_path: Path) -> None:
    """In sentences and in JSON; then the run goes on to its end."""
    state = ("--state", str(tmp_path / "s"))

    def ctl(*arguments: str) -> str:
        done = run_here("fleet", "ctl", *arguments, *state)
        assert 0 == done.returncode, done.stderr
        return str(done.stdout)

    def told(*arguments: str) -> Any:
        return json.loads(ctl(*arguments, "--json"))

    with _running(server, tmp_path / "s", "--seed", "81") as running:
        paused = ctl("pause")
        status = told("status")["status"]
        picture = ctl("status")
        device = told("device", "0")["device"]
        history = ctl("device", device["unit_id"])
        broken = told("disconnect", "--site", "a", "--for", "1s")["done"]
        circuit = told("disconnect", "--circuit", "b/1")["done"]
        faster = ctl("rate", "100")
        resumed = told("resume")["done"]
        alive = running.poll() is None
    gone = run_here("fleet", "ctl", "status", *state)

    assert "arrivals are paused: " in paused
    assert status["glance"]["paused"]
    assert 300 == sum(status["levels"].values())
    assert "arrivals" in picture
    assert "paused" in picture
    assert "onboarding" == device["history"][0]["condition"]
    assert "second" in history
    assert ("a", 1) == (broken["who"], broken["seconds"])
    assert ("b/1", 0) == (circuit["who"], circuit["seconds"])
    assert "100 a second" in faster
    assert resumed["changed"]
    assert alive
    assert 3 == running.returncode
    assert (1, "no fleet runs on") == (gone.returncode, gone.stderr.partition("no fleet runs on")[1])


def test_a_fleet_in_several_processes_is_one(server: ServerProcess, tmp_path: Path) -> None:
    """All of it is asked, all of it pauses."""
    state = ("--state", str(tmp_path), "--json")
    with _running(server, tmp_path, "--seed", "82", "--processes", "2"):
        paused = json.loads(run_here("fleet", "ctl", "pause", *state).stdout)["done"]
        done = run_here("fleet", "ctl", "status", *state)
    status = json.loads(done.stdout)["status"]

    assert (0, "") == (done.returncode, done.stderr)
    assert (300, 2, True) == (sum(status["levels"].values()), status["glance"]["processes"], paused["changed"])
    assert paused["to_come"] == status["levels"]["planned"]


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (("status",), 1, "no fleet runs on"),
        (("disconnect", "--site", "a", "--circuit", "a/1"), 2, "one way"),
        (("disconnect", "--for", "soon"), 2, "--for"),
        (("rate", "0"), 2, "`umslab fleet ctl pause` holds arrivals back"),
        (("rate", "nan"), 2, "above 0"),
    ],
)
def test_what_cannot_be_is_told(tmp_path: Path, arguments: tuple[str, ...], code: int, words: str) -> None:
    """In a sentence that says what to do."""
    done = run_here("fleet", "ctl", *arguments, "--state", str(tmp_path))

    assert code == done.returncode
    assert words in done.stderr
    assert "Traceback" not in done.stderr
