# SPDX-License-Identifier: Apache-2.0
"""One server for all strangers that can share it, and the tools to talk to it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from .curl import EstByCurl
from .ums import running_ums

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from .ums import Ums


@pytest.fixture(scope="session")
def ums(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Ums]:
    """A server with the default configuration (but quick keys)."""
    with running_ums(tmp_path_factory.mktemp("ums")) as running:
        yield running


@pytest.fixture
def est(ums: Ums, tmp_path: Path) -> EstByCurl:
    """An EST client made of curl, at that server."""
    return EstByCurl(ums, tmp_path)
