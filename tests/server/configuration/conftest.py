# SPDX-License-Identifier: Apache-2.0
"""The fixture of this folder."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from .plant import Plant, open_plant

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path


@pytest.fixture
async def plant(tmp_path: Path) -> AsyncIterator[Plant]:
    """The services of the configuration on an empty registry."""
    async with open_plant(tmp_path) as opened:
        yield opened
