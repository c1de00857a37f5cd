# SPDX-License-Identifier: Apache-2.0
"""When a device tries again what did not work; ours, because the vendor is silent about it (L12)."""

from __future__ import annotations

from dataclasses import dataclass

from umslab_protocol.values.failure import Reason


@dataclass(frozen=True, slots=True, kw_only=True)
class RetryPolicy:
    """How a device behaves when something does not work; seconds."""

    first: float = 1.0
    factor: float = 2.0
    most: float = 300.0
    jitter: float = 0.5
    """Share of each wait that chance decides: 0 waits exactly, 1 waits anything from nothing to all of it."""
    onboarding: bool = False
    """Try again also before the device is enrolled, when the reason may pass by itself."""
    connection: bool = True
    """Try again when the session cannot be opened or ends; without it, the first failure is the last."""

    def wait(self, attempt: int, chance: float) -> float:
        """Seconds before attempt number `attempt` (from 1) is repeated."""
        full = min(self.most, self.first * self.factor ** min(attempt - 1, 64))
        return full * (1 - self.jitter * chance)


MAY_PASS = frozenset(
    {
        Reason.UNREACHABLE,
        Reason.TIMEOUT,
        Reason.NAME_UNKNOWN,
        Reason.NOT_TLS,
        Reason.TLS_BROKEN,
        Reason.LOST,
        Reason.BUSY,
        Reason.RATE_LIMITED,
        Reason.AWAITING_APPROVAL,
    }
)
"""Reasons that may be gone at the next try without anybody doing anything at the device."""
