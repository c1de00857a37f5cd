# SPDX-License-Identifier: Apache-2.0
"""Tests of umslab_runtime.slices."""

from __future__ import annotations

import trio

from umslab_runtime.slices import in_slices


async def test_all_in_order() -> None:
    """Every item comes once, in its order; the last slice may be short."""
    assert [[0, 1, 2], [3, 4, 5], [6]] == [list(some) async for some in in_slices(range(7), 3)]
    assert [] == [list(some) async for some in in_slices(range(0), 3)]


async def test_others_get_their_turn() -> None:
    """Between two slices another task runs."""
    seen: list[str] = []

    async def work() -> None:
        async for letters in in_slices("abcdef", 2):
            seen.insert(len(seen), str(letters))

    async def other() -> None:
        for _ in range(2):
            seen.append("-")
            await trio.lowlevel.checkpoint()

    async with trio.open_nursery() as nursery:
        nursery.start_soon(work)
        nursery.start_soon(other)

    assert ["ab", "cd", "ef"] == [one for one in seen if one != "-"]
    assert "-" in seen[: seen.index("ef")]  # whichever of the two begins
