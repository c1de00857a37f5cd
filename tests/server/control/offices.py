# SPDX-License-Identifier: Apache-2.0
"""The desk of the configuration: the commands of directories, profiles and rules on real services."""

from __future__ import annotations

from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

from tests.server.configuration.plant import open_plant
from umslab_server.control.directories import DirectoryCommands
from umslab_server.control.dispatch import Control
from umslab_server.control.profiles import ProfileCommands
from umslab_server.control.rules import RuleCommands

from .desk import Desk

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from tests.server.configuration.plant import Plant


@asynccontextmanager
async def open_configuration_desk(path: Path) -> AsyncIterator[tuple[Desk, Plant]]:
    """Somebody who asks, and the services behind."""
    async with open_plant(path) as plant:
        profiles = ProfileCommands(
            profiles=plant.profiles,
            apps=plant.apps,
            files=plant.files,
            assignments=plant.assignments,
            overview=plant.overview,
            configuration=plant.configuration,
        )
        tables = DirectoryCommands(plant.directories).table(), profiles.table(), RuleCommands(plant.rules).table()
        yield Desk(Control(*tables)), plant
