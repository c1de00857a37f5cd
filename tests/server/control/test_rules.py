# SPDX-License-Identifier: Apache-2.0
"""Tests of umslab_server.control.rules."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from tests.server.parts import unit_id

from .desk import numbered
from .offices import open_configuration_desk

if TYPE_CHECKING:
    from pathlib import Path


async def test_rules(tmp_path: Path) -> None:
    """Created, edited in parts, put in order, tried, deleted."""
    async with open_configuration_desk(tmp_path) as (desk, plant):
        await plant.directories.create("/a", actor="ann")
        await plant.register(1)
        first = (await desk.ask("rules.create", name="r", criteria={"firmware": "12.*"}, directory="/a"))["id"]
        await desk.ask("rules.create", name="s", position=1, at_boot=True)
        await desk.ask("rules.edit", id=first, changes={"criteria": {}, "override": True})
        await desk.ask("rules.move", id=first, position=1)
        listed = await desk.ask("rules.list")
        tried = await desk.ask("rules.test", unit_id=unit_id(1))
        await desk.ask("rules.edit", id=first, changes={"directory": None})
        nowhere = await desk.ask("rules.test", unit_id=unit_id(1))
        await desk.ask("rules.delete", id=first)

        assert [("r", {}, "/a", True, False), ("s", {}, None, False, True)] == [
            (one["name"], one["criteria"], one["directory"], one["override"], one["at_boot"]) for one in listed
        ]
        assert ("/a", "rule r fits") == (tried["target"], tried["because"])
        assert nowhere["target"] is None
        assert "nothing to change" in (await desk.refused("rules.edit", id=2, changes={}))[1]


BAD: list[tuple[str, dict[str, Any]]] = [
    ("rules.list", {"x": 1}),
    ("rules.create", {}),
    ("rules.create", {"name": "x", "criteria": {"weather": "fine"}}),
    ("rules.create", {"name": "x", "criteria": {"role": ""}}),
    ("rules.create", {"name": "x", "parent": 2**70}),
    ("rules.edit", {"id": 1, "changes": {"parent_id": 3}}),
    ("rules.edit", {"id": 1, "changes": {"override": 1}}),
    ("rules.move", {"id": 1, "position": "up"}),
    ("rules.delete", {"id": "1"}),
    ("rules.test", {"unit_id": None}),
]


@pytest.mark.parametrize(("name", "args"), BAD, ids=numbered(BAD))
async def test_bad_arguments(tmp_path: Path, name: str, args: dict[str, Any]) -> None:
    """Arguments that make no sense are told with the command's name."""
    async with open_configuration_desk(tmp_path) as (desk, _):
        await desk.invalid(name, args)
        assert desk.names("rules.") == {command for command, _ in BAD}
