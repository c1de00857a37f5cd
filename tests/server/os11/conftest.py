# SPDX-License-Identifier: Apache-2.0
"""A server that takes every OS 11 device, as during a rollout."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.server.world import config, open_world
from umslab_server.config import EnrolmentConfig

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from tests.server.world import World

ROLLOUT = config(enrolment=EnrolmentConfig(automatic=True))


@pytest.fixture
async def rollout(tmp_path: Path) -> AsyncIterator[World]:
    """The server."""
    async with open_world(tmp_path, ROLLOUT) as opened:
        yield opened
