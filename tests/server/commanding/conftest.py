# SPDX-License-Identifier: Apache-2.0
"""The services of commanding, with a registry in the test's own folder."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from .workshop import Workshop, open_workshop

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path


@pytest.fixture
async def shop(tmp_path: Path) -> AsyncIterator[Workshop]:
    """The services with the default configuration."""
    async with open_workshop(tmp_path) as opened:
        yield opened
