# SPDX-License-Identifier: Apache-2.0
"""`umslab ctl jobs` on a real server."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from .terminal import IDS, ctl, ctl_json, ctl_refused, import_devices

if TYPE_CHECKING:
    from tests.support.process import ServerProcess


@pytest.fixture(scope="module", autouse=True)
def imported(server: ServerProcess) -> None:
    """Three devices that nobody has seen yet."""
    import_devices(server)


def test_life_of_a_job(server: ServerProcess) -> None:
    """Made, listed, run, shown with its run, disabled, enabled, deleted."""
    made = ctl_json(
        server, "job", "jobs", "create", "nightly", "message", IDS[0], "--param", "text=hi", "--at",
        "2999-01-01T03:00:00Z", "--every", "1d", "--expiry", "40m", "--parallel", "5", "--delay", "2s",
    )  # fmt: skip
    run = ctl_json(server, "run", "jobs", "run", "nightly")
    shown = ctl_json(server, "job", "jobs", "show", "nightly")

    assert ("2999-01-01T03:00:00.000Z", 86_400.0, 2400.0) == (
        made["next_run_at"],
        made["every_seconds"],
        made["expiry_seconds"],
    )
    assert [run["exec_id"]] == [one["exec_id"] for one in shown["runs"]]
    assert "nightly" in ctl(server, "jobs", "list")
    assert run["exec_id"] in ctl(server, "jobs", "show", "nightly")
    assert "" == ctl(server, "jobs", "disable", "nightly")
    assert not ctl_json(server, "jobs", "jobs", "list")[0]["enabled"]
    assert "" == ctl(server, "jobs", "enable", "nightly")
    assert run["exec_id"] != ctl(server, "jobs", "run", "nightly").strip()
    assert "" == ctl(server, "jobs", "delete", "nightly")
    assert "no jobs" in ctl(server, "jobs", "list")


def test_plans(server: ServerProcess) -> None:
    """By hand, later, never expiring, disabled, for a view or a directory."""
    ctl(server, "views", "create", "any", "--name", "*")

    assert "next run by hand" in ctl(server, "jobs", "create", "a", "reboot", "--all")
    assert "next run 2" in ctl(server, "jobs", "create", "b", "reboot", "--dir", "/", "--in", "2h")
    made = ctl_json(
        server, "job", "jobs", "create", "c", "reboot", "--view", "any", "--expiry", "never", "--disabled",
        "--no-keep-results", "--retry-at-boot",
    )  # fmt: skip
    assert (None, False, False, True) == (
        made["expiry_seconds"],
        made["enabled"],
        made["keep_results"],
        made["retry_at_boot"],
    )
    listed = ctl(server, "jobs", "list")
    for words in ("all", "--dir /", "--view any"):
        assert words in listed
    assert "uses this view" in ctl_refused(server, "views", "delete", "any")


def test_refused(server: ServerProcess) -> None:
    """Each in one line."""
    assert "in the past" in ctl_refused(server, "jobs", "create", "x", "reboot", "--all", "--at", "2020-01-01T00:00Z")
    assert "is no date" in ctl_refused(server, "jobs", "create", "x", "reboot", "--all", "--at", "noon")
    assert "is no duration" in ctl_refused(server, "jobs", "create", "x", "reboot", "--all", "--every", "day")
    assert "which devices?" in ctl_refused(server, "jobs", "create", "x", "reboot")
    assert "there is no job" in ctl_refused(server, "jobs", "run", "x")
