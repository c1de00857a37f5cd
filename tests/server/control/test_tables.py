# SPDX-License-Identifier: Apache-2.0
"""Tests of umslab_server.control.tables."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from tests.support.lab import open_lab
from umslab_runtime.control import ControlError
from umslab_server.control.tables import build_control

if TYPE_CHECKING:
    from pathlib import Path

    from trio.testing import MockClock


async def _nothing(item: Any = None) -> dict[str, Any]:
    del item
    return {}


async def _ignore(item: Any) -> None:
    del item


async def test_every_area_is_there_and_refuses_nonsense(tmp_path: Path, autojump_clock: MockClock) -> None:
    """Each command of each area refuses an argument nobody knows, and says which."""
    async with open_lab(tmp_path) as lab:
        control = build_control(lab.services, lab.config, clock=lab.clock, status=_nothing, backup=_nothing)
        areas = {name.partition(".")[0] for name in control._commands}

        assert areas == {
            "accounts", "approval", "apps", "assignments", "attributes", "backup", "certs", "command", "connectors",
            "devices", "dirs", "events", "files", "jobs", "keys", "online-check", "profiles", "rules", "scan",
            "settings", "status", "views", "why",
        }  # fmt: skip
        for name in control._commands:
            with pytest.raises(ControlError, match=f"^{name}: ") as caught:
                await control.handle(name, {"nonsense": 1}, _ignore)
            assert caught.value.code == "invalid"
