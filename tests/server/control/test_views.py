# SPDX-License-Identifier: Apache-2.0
"""Tests of umslab_server.control.views: saved searches from the terminal."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from tests.server.commanding.workshop import Workshop, open_workshop
from tests.server.parts import unit_id
from umslab_server.control.dispatch import Control
from umslab_server.control.views import ViewCommands

from .desk import Desk, numbered

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path


@pytest.fixture
async def shop(tmp_path: Path) -> AsyncIterator[Workshop]:
    """The services."""
    async with open_workshop(tmp_path) as opened:
        yield opened


@pytest.fixture
def desk(shop: Workshop) -> Desk:
    """Control of these services."""
    return Desk(Control(ViewCommands(shop.views).table()))


async def test_life_of_a_view(shop: Workshop, desk: Desk) -> None:
    """Made, listed, shown with its devices, deleted."""
    await shop.bring(1)
    await shop.add(2)
    made = await desk.ask("views.create", view="here now", criteria={"online": True})
    listed = await desk.ask("views.list")
    shown = await desk.ask("views.show", view="here now")
    searched = await desk.ask("views.search", criteria={"online": False})
    await desk.ask("views.delete", view="here now")

    assert made == {"id": 1, "name": "here now", "criteria": {"online": True}, "created_at": made["created_at"]}
    assert listed == [made]
    assert shown["view"] == made
    assert [(one["unit_id"], one["online"]) for one in shown["devices"]] == [(unit_id(1), True)]
    assert [one["unit_id"] for one in searched] == [unit_id(2)]
    assert await desk.ask("views.list") == []


async def test_refusals(desk: Desk) -> None:
    """Each in a sentence."""
    await desk.ask("views.create", view="taken", criteria={"online": True})

    assert "already" in (await desk.refused("views.create", view="taken", criteria={"online": True}))[1]
    for bad in ("", " padded ", "x" * 256, "a\nb", "x\n"):
        assert "a view has a name" in (await desk.refused("views.create", view=bad, criteria={"online": True}))[1]
    assert "at least one criterion" in (await desk.refused("views.create", view="x", criteria={}))[1]
    assert "no directory" in (await desk.refused("views.create", view="x", criteria={"directory": "/x"}))[1]
    assert "no view 'x'" in (await desk.refused("views.show", view="x"))[1]
    assert "no view 'x'" in (await desk.refused("views.delete", view="x"))[1]


BAD: list[tuple[str, dict[str, Any]]] = [
    ("views.create", {}),
    ("views.create", {"view": None, "criteria": {"online": True}}),
    ("views.create", {"view": "x", "criteria": {"colour": "red"}}),
    ("views.create", {"view": "x", "criteria": {"online": "yes"}}),
    ("views.create", {"view": "x", "criteria": {"config_changes": "PERHAPS"}}),
    ("views.create", {"view": "x", "criteria": {"not_seen_for_days": -1}}),
    ("views.create", {"view": "x", "criteria": {"not_seen_for_days": 1e9}}),
    ("views.create", {"view": "x", "criteria": {"name": ""}}),
    ("views.list", {"view": "x"}),
    ("views.show", {"view": 1}),
    ("views.search", {}),
    ("views.delete", {}),
]


@pytest.mark.parametrize(("name", "args"), BAD, ids=numbered(BAD))
async def test_bad_arguments(desk: Desk, name: str, args: dict[str, Any]) -> None:
    """Wrong types, unknown and missing names, numbers out of bounds."""
    await desk.invalid(name, args)


async def test_every_command_has_bad_arguments(desk: Desk) -> None:
    """The table above is complete."""
    assert {name for name, _ in BAD} == desk.names("views.")
