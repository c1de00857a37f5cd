# SPDX-License-Identifier: Apache-2.0
"""Tests of umslab_server.status."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import TYPE_CHECKING

import pytest
import trio

from umslab_runtime.clock import VirtualClock
from umslab_server.status import State, StatusMonitor

from .parts import EPOCH, YEAR, new_store, open_store, rendered_logs

if TYPE_CHECKING:
    from pathlib import Path

    from trio.testing import MockClock

    from umslab_server.store import Store


class Expiry:
    """When the web certificate ends; can be moved, as by a renewal."""

    def __init__(self, at: datetime) -> None:
        self.at = at

    def __call__(self) -> datetime:
        """The moment."""
        return self.at


def monitor(store: Store, expiry: Expiry) -> StatusMonitor:
    """A monitor that starts now."""
    return StatusMonitor(store, clock=VirtualClock(EPOCH), web_expires=expiry)


async def test_init_becomes_err(tmp_path: Path, autojump_clock: MockClock) -> None:
    """ST2: a start that hangs is `init` for 120 seconds, then `err`."""
    watched = monitor(new_store(tmp_path / "never-opened"), Expiry(EPOCH + YEAR))
    states = [await watched.current()]
    await trio.sleep(119.9)
    states.append(await watched.current())
    await trio.sleep(0.2)
    states.append(await watched.current())

    assert states == [State.INIT, State.INIT, State.ERR]


async def test_ok(tmp_path: Path, autojump_clock: MockClock) -> None:
    """A registry that can be written and a certificate that lasts."""
    async with open_store(tmp_path / "registry.sqlite") as store:
        watched = monitor(store, Expiry(EPOCH + YEAR))
        await watched.recompute()

        assert (await watched.current(), watched.reasons) == ("ok", [])


async def test_recomputed_every_minute(tmp_path: Path, autojump_clock: MockClock) -> None:
    """ST2: what changes is seen after 60 seconds, not before."""
    async with open_store(tmp_path / "registry.sqlite") as store:
        expiry = Expiry(EPOCH + YEAR)
        watched = monitor(store, expiry)
        await watched.recompute()
        expiry.at = EPOCH
        await trio.sleep(59.9)
        before = await watched.current()
        await trio.sleep(0.2)

        assert (before, await watched.current()) == (State.OK, State.ERR)


@pytest.mark.parametrize(
    ("left", "state", "reason"),
    [
        (timedelta(days=30, seconds=1), State.OK, None),
        (timedelta(days=30), State.WARN, "the web certificate expires in 30 days: `umslab ctl certs renew`"),
        (timedelta(seconds=1), State.WARN, "the web certificate expires in 0 days: `umslab ctl certs renew`"),
        (timedelta(), State.ERR, "the web certificate has expired: `umslab ctl certs renew`"),
        (-YEAR, State.ERR, "the web certificate has expired: `umslab ctl certs renew`"),
    ],
)
async def test_web_certificate(
    tmp_path: Path, autojump_clock: MockClock, left: timedelta, state: State, reason: str | None
) -> None:
    """The last thirty days are a warning, afterwards an error, each with what to do."""
    async with open_store(tmp_path / "registry.sqlite") as store:
        watched = monitor(store, Expiry(EPOCH + left))
        await watched.recompute()

        assert (state, [] if reason is None else [reason]) == (await watched.current(), watched.reasons)


async def test_registry_that_cannot_be_written(tmp_path: Path, autojump_clock: MockClock) -> None:
    """An error with its reason beside that of the certificate; it passes when the disk is well again."""
    async with open_store(tmp_path / "registry.sqlite") as store:
        watched = monitor(store, Expiry(EPOCH + timedelta(days=1)))
        store._write_connection.exec_driver_sql("PRAGMA query_only = ON")
        with rendered_logs():
            await watched.recompute()
        bad = (await watched.current(), list(watched.reasons))
        store._write_connection.exec_driver_sql("PRAGMA query_only = OFF")
        await trio.sleep(60)

        assert bad[0] == State.ERR
        assert [
            words
            for words, reason in zip(("expires in 1 days", "could not be written"), bad[1], strict=True)
            if words in reason
        ] == ["expires in 1 days", "could not be written"]
        assert await watched.current() == State.WARN
