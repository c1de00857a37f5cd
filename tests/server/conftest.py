# SPDX-License-Identifier: Apache-2.0
"""The services, with a registry in the test's own folder.

A test whose result depends on the time asks for `autojump_clock` itself: pytest-trio looks at a test's own arguments.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from .parts import Office, open_office

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path


@pytest.fixture
async def office(tmp_path: Path) -> AsyncIterator[Office]:
    """The services with the default configuration."""
    async with open_office(tmp_path) as opened:
        yield opened
