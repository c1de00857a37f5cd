# SPDX-License-Identifier: Apache-2.0
"""Makes one answer of those that the processes of a fleet give to one request, and shares a rate out among them."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any

import msgspec

from umslab.fleet.counts import Counts, add_up
from umslab.fleet.glance import together
from umslab.fleet.job import Told

if TYPE_CHECKING:
    from collections.abc import Sequence


def join(name: str, answers: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Return the answer of the whole fleet; there is at least one. Who could not do it, has given none."""
    found: dict[str, Any]
    match name:
        case "status":
            found = msgspec.to_builtins(add_levels([msgspec.convert(one, Told) for one in answers]))
        case "counts":
            found = msgspec.to_builtins(add_up([msgspec.convert(one, Counts) for one in answers]))
        case "pause" | "resume":
            found = {"changed": any(one["changed"] for one in answers), "to_come": _sum("to_come", answers)}
        case "rate":
            found = {"per_second": _sum("per_second", answers), "to_come": _sum("to_come", answers)}
        case "disconnect":
            found = {**answers[0], "devices": _sum("devices", answers), "sessions": _sum("sessions", answers)}
        case _:
            (found,) = answers  # a device is in one process
    return found


def add_levels(parts: Sequence[Told]) -> Told:
    """Return what all processes have told together; the phase is the first one's."""
    levels: Counter[str] = Counter()
    for one in parts:
        levels.update(one.levels or {})
    glances = [one.glance for one in parts if one.glance is not None]
    return Told(
        levels=dict(levels),
        phase=parts[0].phase,
        failures=sum(one.failures for one in parts),
        seconds=parts[0].seconds,
        glance=together(glances) if glances else None,
    )


def share_rate(per_second: float, to_come: Sequence[int]) -> list[dict[str, float] | None]:
    """Return what each process is asked, so that all end together; None for one that nobody is to come in.

    Their first devices come one after the other, at the whole fleet's distance.
    """
    everybody = sum(to_come)
    shares: list[dict[str, float] | None] = []
    place = 0
    for count in to_come:
        if count:
            shares.append({"per_second": per_second * count / everybody, "after_seconds": place / per_second})
            place += 1
        else:
            shares.append(None)
    return shares


def _sum(name: str, answers: Sequence[dict[str, Any]]) -> Any:
    return sum(one[name] for one in answers)
