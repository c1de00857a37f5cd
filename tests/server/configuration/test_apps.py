# SPDX-License-Identifier: Apache-2.0
"""Tests of umslab_server.configuration.apps."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.server.parts import unit_id
from umslab_server.configuration.assignments import ObjectType
from umslab_server.configuration.reconcile import When
from umslab_server.errors import RefusedError

if TYPE_CHECKING:
    from .plant import Plant


async def test_life_of_an_app(plant: Plant) -> None:
    """Known in two versions, the device's own over its directory's, deleted."""
    thing = await plant.managed()
    for version in ("1", "2"):
        await plant.apps.create("chromium", version, actor="ann")
    await plant.assignments.assign(ObjectType.APP, "chromium@2", ["/"], actor="ann", when=When.NOW)
    await plant.assignments.assign(ObjectType.APP, "chromium@1", [unit_id(1)], actor="ann", when=When.NOW)
    await plant.apps.delete("chromium@1", actor="ann", when=When.NOW)

    assert [[], ["2"], ["1"], ["2"]] == [[app.version for app in one.apps] for one in thing.offers]
    assert [("chromium", "2", 1)] == [(one.name, one.version, one.receivers) for one in await plant.apps.list_apps()]


async def test_refusals(plant: Plant) -> None:
    """The same twice, no version, an ambiguous or unknown name."""
    await plant.apps.create("a", "1", actor="ann")
    await plant.apps.create("a", "2", actor="ann")
    for refused, why in (
        (plant.apps.create("a", "1", actor="ann"), "known already"),
        (plant.apps.create("a", " ", actor="ann"), "a version has"),
        (plant.apps.create("", "1", actor="ann"), "a name has"),
    ):
        with pytest.raises(RefusedError, match=why):
            await refused
    for which, why in (("a", "several versions"), ("b", "no app"), ("77", "no app"), ("a@3", "no app")):
        with pytest.raises(RefusedError, match=why):
            await plant.apps.delete(which, actor="ann", when=When.NOW)
