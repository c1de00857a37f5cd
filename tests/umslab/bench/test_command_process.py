# SPDX-License-Identifier: Apache-2.0
"""A command that a benchmark starts is watched, and ended whatever happens."""

from __future__ import annotations

import pytest

from umslab.bench.command_process import CommandProcess


def test_a_command_that_ends_early() -> None:
    """The error names the command and shows what it said."""
    with CommandProcess("serve", "--port", "70000") as process, pytest.raises(RuntimeError, match="65535") as caught:
        process.wait_for("state folder")

    assert "`umslab serve --port` did not say 'state folder'" in str(caught.value)
