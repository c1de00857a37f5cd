# SPDX-License-Identifier: Apache-2.0
"""Tests of umslab_server.control.directories."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from tests.server.parts import unit_id

from .desk import numbered
from .offices import open_configuration_desk

if TYPE_CHECKING:
    from pathlib import Path


async def test_the_tree(tmp_path: Path) -> None:
    """Every verb once."""
    async with open_configuration_desk(tmp_path) as (desk, plant):
        await plant.register(1)
        made = await desk.ask("dirs.create", path="/a/b")
        await desk.ask("dirs.rename", path="/a/b", name="c")
        moved = await desk.ask("dirs.move", path="/a/c", target="/")
        placed = await desk.ask("dirs.move-devices", unit_ids=[unit_id(1)], target="/c", when="reboot")
        await desk.ask("dirs.delete", path="/a")
        listed = await desk.ask("dirs.list")

        assert [("/", 0, 1), ("/c", 1, 1)] == [(one["path"], one["devices"], one["devices_below"]) for one in listed]
        assert made == {"id": listed[1]["id"]}
        assert [moved, placed] == [{"devices": 0, "warnings": []}] * 2
        assert "devices in it" in (await desk.refused("dirs.delete", path="/c"))[1]


BAD: list[tuple[str, dict[str, Any]]] = [
    ("dirs.list", {"x": 1}),
    ("dirs.create", {}),
    ("dirs.create", {"path": 7}),
    ("dirs.rename", {"path": "/a"}),
    ("dirs.move", {"path": "/a", "target": "/", "when": "soon"}),
    ("dirs.delete", {"path": None}),
    ("dirs.move-devices", {"unit_ids": unit_id(1), "target": "/"}),
]


@pytest.mark.parametrize(("name", "args"), BAD, ids=numbered(BAD))
async def test_bad_arguments(tmp_path: Path, name: str, args: dict[str, Any]) -> None:
    """Arguments that make no sense are told with the command's name."""
    async with open_configuration_desk(tmp_path) as (desk, _):
        await desk.invalid(name, args)
        assert desk.names("dirs.") == {command for command, _ in BAD}
