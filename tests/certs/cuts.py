# SPDX-License-Identifier: Apache-2.0
"""Power that fails between two steps on disk: the n-th rename or removal does not happen, and nothing after it."""

from __future__ import annotations

from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


class PowerCut(BaseException):
    """The machine is off: not an error that anything could handle."""


@contextmanager
def power_fails_after(steps: int) -> Iterator[list[str]]:
    """Let this many renames and removals happen, then none; yields their names. The cut itself does not get out."""
    done: list[str] = []

    def counting(step: Callable[..., Any]) -> Callable[..., Any]:
        def run(path: Path, *args: Any, **options: Any) -> Any:
            if len(done) >= steps:
                raise PowerCut
            done.append(path.name)
            return step(path, *args, **options)

        return run

    with pytest.MonkeyPatch.context() as patch:
        for name in ("replace", "unlink"):
            patch.setattr(Path, name, counting(getattr(Path, name)))
        try:
            yield done
        except PowerCut:
            done.append("cut")


def steps_of(change: Callable[[], object]) -> int:
    """How many such steps a change has; it happens whole."""
    with power_fails_after(1_000) as done:
        change()
    assert "cut" not in done
    return len(done)
