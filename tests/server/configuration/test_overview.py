# SPDX-License-Identifier: Apache-2.0
"""Tests of umslab_server.configuration.overview."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.server.parts import unit_id
from umslab_server.configuration.assignments import ObjectType
from umslab_server.configuration.reconcile import When
from umslab_server.errors import RefusedError

if TYPE_CHECKING:
    from .plant import Plant


async def test_where_it_comes_from(plant: Plant) -> None:
    """Every value with its profile and receiver, apps and files with their receiver, and how far the device is."""
    source = plant.path / "f.txt"
    source.write_bytes(b"x")
    await plant.managed()
    await plant.profiles.edit("global", {"a": "0"}, actor="ann", when=When.NOW)
    await plant.fill(1, "own", a="1")
    await plant.apps.create("app", "1", actor="ann")
    await plant.files.add(source, actor="ann")
    await plant.assignments.assign(ObjectType.APP, "app", ["/"], actor="ann", when=When.NOW)
    await plant.assignments.assign(ObjectType.FILE, "f.txt", [unit_id(1)], actor="ann", when=When.REBOOT)
    view = await plant.overview.show(unit_id(1))

    assert ("/", 5, 1, "PENDING", "now", 3) == (
        view.directory, view.version, view.applied_version, view.config_changes, view.when, view.assignments,
    )  # fmt: skip
    assert [("a", "1", "own", unit_id(1), ("global at global",))] == [
        (one.name, one.value, one.profile, one.receiver, one.overrides) for one in view.settings
    ]
    assert [("app", "1", "/")] == [(one.name, one.version, one.receiver) for one in view.apps]
    assert [("f.txt", unit_id(1))] == [(one.name, one.receiver) for one in view.files]
    assert view.digest == (await plant.row())["settings_digest"]


async def test_unknown_device(plant: Plant) -> None:
    """Refused in a sentence."""
    with pytest.raises(RefusedError, match="no device"):
        await plant.overview.show(unit_id(1))
