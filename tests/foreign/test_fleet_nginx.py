# SPDX-License-Identifier: Apache-2.0
"""A whole fleet through a real nginx that passes TLS through: it works, and the report tells whose a failure was."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from tests.support.process import QUICK_KEYS, ServerProcess, run_umslab

from .nginx import nobody, passing_through
from .ums import MASS_KEY

if TYPE_CHECKING:
    from pathlib import Path

    from .ums import Ums

SHORT = ("--set", 'phases=[{kind="onboard",within_seconds=1.5}]', "--set", 'retry={kind="flat",seconds=0.4}')


def _fleet(address: str, *arguments: str) -> tuple[int, dict[str, Any]]:
    """Run a fleet that is told of the proxy; returns the exit code and the report."""
    done = run_umslab("fleet", "run", address, "--proxied", "--at-once", "--auth-key", MASS_KEY, "--json", *arguments)
    assert done.stdout, done.stderr
    report: dict[str, Any] = json.loads(done.stdout)["report"]
    return done.returncode, report


def test_a_fleet_comes_on_board_through_it(ums: Ums, tmp_path: Path) -> None:
    """All managed, each session through the proxy; the backend behind it names itself."""
    with passing_through(tmp_path / "nginx", ums.address) as address:
        code, report = _fleet(address, "-n", "12", "--seed", "501", "--processes", "2", "--token", ums.token)

    assert (0, 12, {}) == (code, report["managed"], report["failuresBySide"])
    assert "umslab" == report["product"]


@pytest.mark.parametrize("which", ["no upstream", "no proxy"])
def test_the_proxys_failures(tmp_path: Path, which: str) -> None:
    """Nginx is there and the server is not: it takes connections and drops them. Or nginx itself is gone."""
    with nobody() as nowhere:
        if which == "no proxy":
            code, report = _fleet(nowhere, "-n", "3", *SHORT)
        else:
            with passing_through(tmp_path / "nginx", nowhere) as address:
                code, report = _fleet(address, "-n", "3", *SHORT)

    assert (3, 0) == (code, report["managed"])
    assert ["proxy"] == list(report["failuresBySide"])
    assert 3 <= report["failuresBySide"]["proxy"]
    assert {"cacerts"} == {cause["phase"] for cause in report["causes"]}


def test_the_servers_failures(tmp_path: Path) -> None:
    """A server that is too busy says so in its own words, through the proxy: 503, with the id of the request."""
    model = tmp_path / "busy.toml"
    model.write_text("workers = 1\nqueue = 0\n[times.enrol]\nmean = 1.0\n")
    server = ServerProcess(tmp_path / "state", (*QUICK_KEYS, "--service-model", str(model)))
    try:
        server.start()
        server.ask("keys.create", kind="mass", chosen=MASS_KEY)
        with passing_through(tmp_path / "nginx", f"127.0.0.1:{server.port}") as address:
            code, report = _fleet(address, "-n", "6", "--seed", "502", *SHORT)
    finally:
        server.close()
    (cause, *_) = [cause for cause in report["causes"] if cause["status"] == 503]

    assert code in {0, 3}
    assert ["server"] == list(report["failuresBySide"])
    assert ("server", "busy") == (cause["side"], cause["reason"])
    assert cause["request"].startswith("02")
