# SPDX-License-Identifier: Apache-2.0
"""The health state that `/ums/check-status` tells (facts ST1, ST2).

Documented: the four states, that they are recomputed every 60 s, and that an `init` that is stuck becomes `err` after
120 s. Ours are recomputed when somebody asks and the last answer is 60 s old, which nobody can tell apart. What makes
ours `warn` or `err` is our own judgement; `umslab ctl status` tells the reasons.
"""

from __future__ import annotations

from datetime import timedelta
from enum import StrEnum
from typing import TYPE_CHECKING

from umslab_server.store import StoreError

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime

    from umslab_runtime.clock import Clock
    from umslab_server.store import Store

RECOMPUTE_SECONDS = 60.0
INIT_SECONDS = 120.0
WARN_BEFORE_EXPIRY = timedelta(days=30)


class State(StrEnum):
    """The documented values."""

    INIT = "init"
    OK = "ok"
    WARN = "warn"
    ERR = "err"


_GRAVITY = (State.INIT, State.OK, State.WARN, State.ERR)


class StatusMonitor:
    """Knows the state; call `recompute` once at the start."""

    def __init__(
        self,
        store: Store,
        *,
        clock: Clock,
        web_expires: Callable[[], datetime],
        warning: Callable[[], str | None] = lambda: None,
    ) -> None:
        """`warning` is asked for something else that an administrator should know."""
        self._store = store
        self._warning = warning
        self._clock = clock
        self._web_expires = web_expires
        self._started = clock.monotonic()
        self._computed_at: float | None = None
        self._state = State.INIT
        self.reasons: list[str] = []

    async def current(self) -> State:
        """The state, at most `RECOMPUTE_SECONDS` old."""
        now = self._clock.monotonic()
        if self._computed_at is None:
            return State.INIT if now - self._started < INIT_SECONDS else State.ERR
        if now - self._computed_at >= RECOMPUTE_SECONDS:
            await self.recompute()
        return self._state

    async def recompute(self) -> None:
        """Look again."""
        state, reasons = State.OK, []
        left = self._web_expires() - self._clock.utc()
        if left <= timedelta():
            state = State.ERR
            reasons.append("the web certificate has expired: `umslab ctl certs renew`")
        elif left <= WARN_BEFORE_EXPIRY:
            state = State.WARN
            reasons.append(f"the web certificate expires in {left.days} days: `umslab ctl certs renew`")
        if warning := self._warning():
            state = max(state, State.WARN, key=_GRAVITY.index)
            reasons.append(warning)
        try:
            await self._store.check()
        except StoreError as error:
            state = State.ERR
            reasons.append(str(error))
        self._state, self.reasons, self._computed_at = state, reasons, self._clock.monotonic()
