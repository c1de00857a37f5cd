# SPDX-License-Identifier: Apache-2.0
"""Tests of umslab.demo.story: that it runs whole is shown by tests/umslab/cli/test_demo.py."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from umslab.cli.output import run_async
from umslab.demo import story
from umslab.demo.process import DemoFailedError
from umslab.demo.show import Show

if TYPE_CHECKING:
    from pathlib import Path


def test_a_step_that_takes_too_long_fails_the_demo(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It names the time and leaves nothing running."""
    monkeypatch.setattr(story, "STEP_SECONDS", 0.05)
    with pytest.raises(DemoFailedError, match=r"a step took longer than 0\.05 s"):
        run_async(story.run, tmp_path, Show())
