# SPDX-License-Identifier: Apache-2.0
"""One running server for the tests of the command line."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

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
