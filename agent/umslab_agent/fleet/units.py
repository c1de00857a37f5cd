# SPDX-License-Identifier: Apache-2.0
"""Numbers as people read them."""

from __future__ import annotations


def duration(seconds: float | None) -> str:
    """Three digits and a unit, from microseconds to hours; `never` for None."""
    if seconds is None:
        return "never"
    if seconds == 0:
        return "0 s"
    if seconds < 0.001:
        return f"{seconds * 1_000_000:.0f} µs"
    if seconds < 1:
        return f"{_three(seconds * 1000)} ms"
    if seconds < 600:
        return f"{_three(seconds)} s"
    if seconds < 36_000:
        return f"{_three(seconds / 60)} min"
    return f"{_three(seconds / 3600)} h"


def tick(seconds: float) -> str:
    """A round time beside an axis: `10 ms`, `500 ms`."""
    for unit, factor in (("s", 1.0), ("ms", 1e-3), ("µs", 1e-6)):
        if seconds >= factor * 0.999:
            return f"{seconds / factor:.6g} {unit}"
    return "0"


def size(count: float) -> str:
    """Bytes in KiB, MiB or GiB."""
    for unit, factor in (("GiB", 1024**3), ("MiB", 1024**2)):
        if count >= factor:
            return f"{_three(count / factor)} {unit}"
    return f"{_three(count / 1024)} KiB"


def number(count: float) -> str:
    """With thousands apart; whole ones without a fraction."""
    return f"{count:,.0f}" if float(count).is_integer() or count >= 100 else f"{count:.3g}"


def share(part: float, whole: float) -> str:
    """In percent; all and nothing only when it is all or nothing."""
    if not whole:
        return "-"
    percent = 100 * part / whole
    if percent in {0, 100}:
        return f"{percent:.0f} %"
    return f"{min(max(percent, 0.01), 99.99):.2f} %" if percent < 1 or percent > 99 else f"{percent:.1f} %"


def _three(value: float) -> str:
    if value >= 100:
        return f"{value:.0f}"
    return f"{value:.1f}" if value >= 10 else f"{value:.2f}"
