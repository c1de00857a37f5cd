# SPDX-License-Identifier: Apache-2.0
"""Tests of umslab.demo.process."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
import trio

from umslab.demo.process import DemoFailedError, Server

if TYPE_CHECKING:
    from pathlib import Path


async def test_a_server_that_ends_at_once_is_told_with_its_log(tmp_path: Path) -> None:
    """Its folder is a file, so it cannot start; what it wrote is in the error."""
    (tmp_path / "server").write_text("in the way")
    server = Server(tmp_path)
    with trio.fail_after(60), pytest.raises(DemoFailedError, match=r"ended at once:\n.*server"):
        await server.start()
    server.kill()

    assert server.process is not None
    assert server.process.poll() is not None
