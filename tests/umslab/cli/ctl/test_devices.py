# SPDX-License-Identifier: Apache-2.0
"""`umslab ctl devices`: the registry and its recycle bin."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from umslab.cli.ctl.devices import _print_rows, _words

from .terminal import IDS, ctl, ctl_json, ctl_refused, import_devices

if TYPE_CHECKING:
    from pathlib import Path

    from tests.support.process import ServerProcess


@pytest.fixture(scope="module", autouse=True)
def imported(server: ServerProcess) -> None:
    """Three devices that nobody has seen yet."""
    import_devices(server)


def test_the_recycle_bin(server: ServerProcess) -> None:
    """Delete, list the bin, restore, purge."""
    ctl(server, "devices", "delete", IDS[0])

    assert "in-bin" == ctl_json(server, "device", "devices", "show", IDS[0])["state"]
    assert [IDS[0]] == [one["unit_id"] for one in ctl_json(server, "devices", "devices", "list", "--bin")]
    assert IDS[0] not in ctl(server, "devices", "list", "--no-bin")
    assert "cannot be addressed" in ctl_refused(server, "devices", "delete", IDS[0])
    ctl(server, "devices", "restore", IDS[0])
    assert "not in the recycle bin" in ctl_refused(server, "devices", "restore", IDS[0])
    ctl(server, "devices", "purge", IDS[0])
    assert "no device" in ctl_refused(server, "devices", "show", IDS[0])


def test_editing_a_device(server: ServerProcess) -> None:
    """Attributes that people keep."""
    ctl(server, "devices", "edit", IDS[1], "site=Bremen", "cost-center=42")
    shown = ctl_json(server, "device", "devices", "show", IDS[1])

    assert ("Bremen", "42") == (shown["site"], shown["cost_center"])
    assert "cannot be edited" in ctl_refused(server, "devices", "edit", IDS[1], "unit_id=x")
    assert "is not NAME=VALUE" in ctl_refused(server, "devices", "edit", IDS[1], "site")


def test_importing_devices(server: ServerProcess, tmp_path: Path) -> None:
    """A file or standard input; known ones are told, a bad line refuses the whole file with its number."""
    good, bad = tmp_path / "good.csv", tmp_path / "bad.csv"
    good.write_text(f"02BBBBBBBB01;new one;;\n{IDS[1]};known;;\n")
    bad.write_text("02BBBBBBBB02;fine;;\nnonsense;x;;\n")

    assert "1 devices added; known already: 02AAAAAAAA02" in ctl(server, "devices", "import", str(good))
    assert "line 2" in ctl_refused(server, "devices", "import", str(bad))
    assert "02BBBBBBBB02" not in ctl(server, "devices", "list")
    assert "1 devices added" in ctl(server, "devices", "import", "-", stdin="02BBBBBBBB03;by pipe;;\n")
    assert "none.csv" in ctl_refused(server, "devices", "import", str(tmp_path / "none.csv"))


def test_what_a_device_has_told(capsys: pytest.CaptureFixture[str]) -> None:
    """A member that only some rows have is a column all the same; lists and objects are words."""
    adapters = [{"name": "eth0", "state": "up"}]
    _print_rows("apps", [{"name": "vpn", "state": "installed"}, {"name": "x", "state": "failed", "message": "full"}])
    title, heading, *rows = capsys.readouterr().out.splitlines()

    assert ("apps:", ["name", "state", "message"]) == (title, heading.split())
    assert [["vpn", "installed", "-"], ["x", "failed", "full"]] == [row.split() for row in rows]
    assert "eth0 up" == _words(adapters)
