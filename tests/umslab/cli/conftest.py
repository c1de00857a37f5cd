# SPDX-License-Identifier: Apache-2.0
"""One running server for the tests of the command line."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
import structlog

from tests.support.process import ServerProcess

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    """A server on a fresh state folder."""
    process = ServerProcess(tmp_path_factory.mktemp("ums") / "state")
    process.start()
    yield process
    process.close()


@pytest.fixture(autouse=True)
def logs_as_before() -> Iterator[None]:
    """A command that runs within the tests sets up the logs of this process: undone at the end."""
    before = structlog.get_config()
    yield
    structlog.configure(**before)
