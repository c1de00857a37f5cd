# SPDX-License-Identifier: Apache-2.0
"""Runs that can be repeated exactly: virtual time, and Trio's own task order made a function of a seed.

Trio's switch is private (`_ALLOW_DETERMINISTIC_SCHEDULING` and the random source `_r`); when a new Trio moves it, this
file fails at import, and that is wanted.
"""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, TypeVar

import trio
from trio._core import _run
from trio.testing import MockClock

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterator

assert hasattr(_run, "_ALLOW_DETERMINISTIC_SCHEDULING")
assert hasattr(_run, "_r")

T = TypeVar("T")


@contextmanager
def _fixed_order(seed: int) -> Iterator[None]:
    before = _run._ALLOW_DETERMINISTIC_SCHEDULING
    state = _run._r.getstate()
    vars(_run)["_ALLOW_DETERMINISTIC_SCHEDULING"] = True
    _run._r.seed(seed)
    try:
        yield
    finally:
        vars(_run)["_ALLOW_DETERMINISTIC_SCHEDULING"] = before
        _run._r.setstate(state)


def run_repeatably(main: Callable[..., Awaitable[T]], *args: Any, seed: int = 1) -> T:
    """Run in virtual time with a task order that depends on nothing but the program and the seed."""
    with _fixed_order(seed):
        return trio.run(main, *args, clock=MockClock(autojump_threshold=0))
