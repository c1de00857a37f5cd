# SPDX-License-Identifier: Apache-2.0
"""Tests of umslab_server.control.profiles."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from tests.server.parts import unit_id

from .desk import numbered
from .offices import open_configuration_desk

if TYPE_CHECKING:
    from pathlib import Path


async def test_profiles(tmp_path: Path) -> None:
    """Created, edited, renamed, assigned, shown, taken back, deleted."""
    async with open_configuration_desk(tmp_path) as (desk, plant):
        await plant.managed()
        made = await desk.ask("profiles.create", name="p", kind="priority", settings={"a": "1"})
        await desk.ask("profiles.rename", which="p", name="q")
        assigned = await desk.ask("assignments.assign", type="profile", which="q", receivers=["/"], position=1)
        edited = await desk.ask("profiles.edit", which="q", values={"b": "2"}, remove=["a"], when="reboot")
        shown = await desk.ask("profiles.show", which="q")
        by_receiver = await desk.ask("assignments.of-receiver", receiver="/")
        by_object = await desk.ask("assignments.of-object", type="profile", which="q")
        effective = await desk.ask("settings.show", unit_id=unit_id(1))
        sent = await desk.ask("settings.send", unit_ids=[unit_id(1)])
        taken = await desk.ask("assignments.unassign", type="profile", which="q", receivers=["/"])
        await desk.ask("profiles.delete", which="q")

        assert [{"devices": 1, "warnings": []}] * 3 == [assigned, edited, taken]
        assert (shown["id"], shown["kind"], shown["settings"]) == (made["id"], "priority", {"b": "2"})
        assert by_receiver == by_object
        assert ("b", "2", "q", "/") == tuple(
            effective["settings"][0][key] for key in ("name", "value", "profile", "receiver")
        )
        assert sent["devices"] == 0  # the assignment before it was for now, and nobody has acknowledged that
        assert [] == await desk.ask("profiles.list")


async def test_apps_and_files(tmp_path: Path) -> None:
    """Known, assigned, forgotten; a file that is not there is told."""
    async with open_configuration_desk(tmp_path) as (desk, plant):
        thing = await plant.managed()
        source = tmp_path / "f.txt"
        source.write_bytes(b"x")
        await desk.ask("apps.create", name="a", version="1")
        await desk.ask("files.add", path=str(source), name="g.txt")
        for kind, which in (("app", "a"), ("file", "g.txt")):
            await desk.ask("assignments.assign", type=kind, which=which, receivers=[unit_id(1)])
        last = thing.offers[-1]
        apps, files = await desk.ask("apps.list"), await desk.ask("files.list")
        await desk.ask("apps.delete", which="a")
        await desk.ask("files.delete", which="g.txt")

        assert (["a"], ["g.txt"]) == ([one.name for one in last.apps], [one.name for one in last.files])
        assert ([1], [1]) == ([one["receivers"] for one in apps], [one["receivers"] for one in files])
        assert [[], []] == [await desk.ask("apps.list"), await desk.ask("files.list")]
        assert "No such file" in (await desk.refused("files.add", path=str(tmp_path / "none")))[1]


BAD: list[tuple[str, dict[str, Any]]] = [
    ("profiles.list", {"x": 1}),
    ("profiles.show", {"which": 1}),
    ("profiles.create", {"name": "x", "kind": "global"}),
    ("profiles.create", {"name": "x", "settings": {"a": 1}}),
    ("profiles.rename", {"which": "x"}),
    ("profiles.edit", {"which": "x", "when": "later"}),
    ("profiles.delete", {}),
    ("apps.list", {"x": 1}),
    ("apps.create", {"name": "x"}),
    ("apps.delete", {"which": 1}),
    ("files.list", {"x": 1}),
    ("files.add", {"path": 1}),
    ("files.delete", {}),
    ("assignments.assign", {"type": "rule", "which": "x", "receivers": ["/"]}),
    ("assignments.assign", {"type": "app", "which": "x", "receivers": ["/"], "position": -1}),
    ("assignments.unassign", {"type": "app", "which": "x"}),
    ("assignments.of-receiver", {}),
    ("assignments.of-object", {"type": "app"}),
    ("settings.show", {"unit_id": 1}),
    ("settings.send", {"unit_ids": "x"}),
]


@pytest.mark.parametrize(("name", "args"), BAD, ids=numbered(BAD))
async def test_bad_arguments(tmp_path: Path, name: str, args: dict[str, Any]) -> None:
    """Arguments that make no sense are told with the command's name."""
    async with open_configuration_desk(tmp_path) as (desk, _):
        await desk.invalid(name, args)
        areas = ("profiles.", "apps.", "files.", "assignments.", "settings.")
        assert set().union(*(desk.names(area) for area in areas)) == {command for command, _ in BAD}
