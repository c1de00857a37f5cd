# SPDX-License-Identifier: Apache-2.0
"""An error in background work is its owner's, or everybody's when nobody wants to know."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
import trio

from umslab_runtime.clock import SystemClock
from umslab_runtime.defects import guarded, run_guarded
from umslab_runtime.session_host import open_session_host

if TYPE_CHECKING:
    from trio.testing import MockClock


class _Sleeper:
    """Is due every second, and raises the third time when it is broken."""

    def __init__(self, *, broken: bool) -> None:
        self.woken = 0
        self._broken = broken

    def deadline(self) -> float | None:
        return float(self.woken + 1)

    def wake(self) -> None:
        self.woken += 1
        if self._broken and self.woken == 3:
            raise LookupError("broken")


async def _fail() -> None:
    await trio.sleep(1)
    raise LookupError("broken")


def _raise() -> None:
    raise LookupError("broken")


async def test_the_owner_is_told(autojump_clock: MockClock) -> None:
    """The error itself; work that is well tells nobody anything."""
    told: list[Exception] = []
    run_guarded(_raise, told.append)
    await guarded(_fail, told.append)
    run_guarded(lambda: None, told.append)

    assert ["broken", "broken"] == [str(error) for error in told]


async def test_without_an_owner_it_goes_on(autojump_clock: MockClock) -> None:
    """As it came."""
    with pytest.raises(LookupError):
        run_guarded(_raise, None)
    with pytest.raises(LookupError):
        await guarded(_fail, None)


async def test_jobs_and_timers_of_one_owner_end_nobody_else(autojump_clock: MockClock) -> None:
    """The broken sleeper is forgotten, the other is woken as before, and the host lives on."""
    told: list[Exception] = []
    ill, well = _Sleeper(broken=True), _Sleeper(broken=False)
    async with open_session_host(SystemClock(), write_seconds=1) as host:
        owned = host.owned(told.append)
        owned.watch(ill)
        host.watch(well)
        jobs = owned.jobs()
        jobs.start("job", _fail)
        await trio.sleep(10.5)

        assert ["broken", "broken"] == [str(error) for error in told]
        assert (3, 10) == (ill.woken, well.woken)
        assert "job" not in jobs


async def test_a_host_without_owner_ends_by_it(autojump_clock: MockClock) -> None:
    """A defect that is nobody's must not go unseen."""
    with pytest.RaisesGroup(LookupError):
        async with open_session_host(SystemClock(), write_seconds=1) as host:
            host.jobs().start("job", _fail)
            await trio.sleep_forever()
