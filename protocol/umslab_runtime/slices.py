# SPDX-License-Identifier: Apache-2.0
"""Long loops that give way: work through many things without holding up everybody else."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

import trio

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Sequence

T = TypeVar("T")


async def in_slices(items: Sequence[T], size: int) -> AsyncIterator[Sequence[T]]:
    """Yield `items` in order, `size` at a time; between two slices every other task that is ready gets its turn."""
    for start in range(0, len(items), size):
        if start:
            await trio.lowlevel.checkpoint()
        yield items[start : start + size]
