# SPDX-License-Identifier: Apache-2.0
"""Whose an error in background work is: its owner is told, and nobody else ends by it.

Background work of many owners runs in one nursery, where an error of one ends all. Who has a handler is told instead;
without one the error goes on into the nursery, as everywhere.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Awaitable

OnDefect: TypeAlias = Callable[[Exception], None]
"""Is told of an error that only a defect of ours can cause; must not wait and must not raise."""


def run_guarded(work: Callable[[], None], on_defect: OnDefect | None) -> None:
    """Do this; an error in it goes to the handler, if there is one."""
    if on_defect is None:
        work()
        return
    try:
        work()
    except Exception as error:  # noqa: BLE001 - whatever it is, its owner is told
        on_defect(error)


async def guarded(work: Callable[[], Awaitable[None]], on_defect: OnDefect | None) -> None:
    """Do the same with work that waits."""
    if on_defect is None:
        await work()
        return
    try:
        await work()
    except Exception as error:  # noqa: BLE001 - whatever it is, its owner is told
        on_defect(error)
