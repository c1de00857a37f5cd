# SPDX-License-Identifier: Apache-2.0
"""Who wants to know how long the steps of a connection take: told when each is done, never asked for anything."""

from __future__ import annotations

from typing import Literal, Protocol

TracedStep = Literal["tcp", "tls", "cacerts", "enrol", "websocket", "register", "contact", "settings", "command"]


class Trace(Protocol):
    """Takes the time of a step."""

    def __call__(self, step: TracedStep, began: float, /) -> None:
        """`step` is done now; it began at `began`, monotonic seconds. Steps that fail are not told."""
