# SPDX-License-Identifier: Apache-2.0
"""How a run goes, on a terminal: a picture that renews itself, below what is said.

`picture` is pure; `Live` keeps what it needs of the past, which is a few seconds of counts.
"""

from __future__ import annotations

import os
import sys
from collections import deque
from typing import TYPE_CHECKING, Self

from msgspec import Struct
from rich.console import Console, Group
from rich.live import Live as RichLive
from rich.table import Table
from rich.text import Text

from umslab.fleet.progress import WORDS
from umslab.printable import printable
from umslab_agent.fleet.measured import BUSY
from umslab_agent.fleet.units import duration, number, size

if TYPE_CHECKING:
    from rich.console import RenderableType

    from umslab.fleet.glance import Glance
    from umslab.fleet.job import Told

RATE_SECONDS = 5.0
"""Rates are those of so long."""
REFRESHES = 2
"""A second."""
LATE = 0.05
"""Seconds of lag of the event loop above which the generator falsifies what it measures."""
_LEVEL_STYLES = {"managed": "green", "failed": "red", "offline": "yellow"}


class Rates(Struct, frozen=True):
    """Arrivals a second, of late."""

    intended: float = 0.0
    achieved: float = 0.0


def picture(told: Told, rates: Rates | None = None) -> RenderableType:
    """Return what a person sees of this moment; without rates, how many have arrived."""
    parts: list[RenderableType] = [_heading(told), _levels(told.levels or {})]
    if told.glance is not None:
        parts.append(_arrivals(told.glance, rates))
        if told.glance.steps:
            parts += [Text(), _steps(told.glance)]
        if told.failures:
            parts += [Text(), _causes(told.glance, told.failures)]
        parts += [Text(), _generator(told.glance)]
    return Group(*parts)


def _heading(told: Told) -> Text:
    text = Text.assemble((told.phase or "begin", "bold"), f"  {duration(told.seconds)}")
    glance = told.glance
    if glance is not None and glance.left is not None:
        text.append(f", ends in {duration(glance.left)} at the latest")
    return text


def _levels(levels: dict[str, int]) -> Text:
    text = Text("devices     ")
    shown = [(condition, word) for condition, word in WORDS.items() if levels.get(condition) or condition == "managed"]
    for place, (condition, word) in enumerate(shown):
        text.append(", " if place else "")
        text.append(f"{number(levels.get(condition, 0))} {word}", style=_LEVEL_STYLES.get(condition, ""))
    return text


def _arrivals(glance: Glance, rates: Rates | None) -> Text:
    text = Text("arrivals    ")
    if rates is None:
        text.append(f"{number(glance.arrived)} of {number(glance.due)} that are due")
    else:
        text.append(f"{rates.intended:.1f} a second intended, {rates.achieved:.1f} achieved")
    if glance.paused:
        text.append("; paused", style="yellow")
    elif glance.due > glance.arrived:
        text.append(f"; {number(glance.due - glance.arrived)} overdue", style="yellow")
    return text


def _steps(glance: Glance) -> Table:
    whose = f" (of {glance.processes} processes the slowest's)" if glance.processes > 1 else ""
    table = Table(box=None, pad_edge=False, title=f"latencies{whose}", title_justify="left", title_style="bold")
    for heading in ("step", "count", "p50", "p90", "p99"):
        table.add_column(heading, justify="left" if heading == "step" else "right")
    for name, step in reversed(glance.steps.items()):
        table.add_row(name, number(step.count), *(duration(value) for value in (step.p50, step.p90, step.p99)))
    return table


def _causes(glance: Glance, failures: int) -> Table:
    table = Table(box=None, pad_edge=False, title=f"{number(failures)} failed tries", title_justify="left")
    table.title_style = "bold"
    table.add_column("count", justify="right")
    table.add_column("cause")
    for cause, count in glance.causes.items():
        table.add_row(number(count), Text(printable(cause)))
    return table


def _generator(glance: Glance) -> Text:
    busiest = ", of the busiest process" if glance.processes > 1 else ""
    return Text.assemble(
        "generator   ",
        (f"CPU {glance.cpu:.0%} of one processor{busiest}", "red" if glance.cpu > BUSY else ""),
        (f", event loop {duration(glance.lag)} late", "red" if glance.lag > LATE else ""),
        f", {size(glance.memory)} memory",
    )


def can_be_live() -> bool:
    """Whether standard error is a terminal that can move its cursor."""
    return sys.stderr.isatty() and os.environ.get("TERM", "dumb") not in {"dumb", "unknown"}


class Live:
    """Shows the picture; on standard error, as all progress."""

    def __init__(self, console: Console | None = None) -> None:
        self._console = console or Console(stderr=True, highlight=False)
        self._live = RichLive(
            console=self._console,
            auto_refresh=False,  # no thread of its own: it is drawn when something is told
            transient=True,
            redirect_stdout=False,
            redirect_stderr=False,
        )
        self._past: deque[tuple[float, Glance]] = deque()

    def __enter__(self) -> Self:
        self._live.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._live.stop()

    def told(self, told: Told) -> None:
        """Take what a shard tells."""
        if told.say:
            self._console.print(Text(printable(told.say)))
        if told.levels is not None:
            self._live.update(picture(told, self._rates(told)), refresh=True)

    def _rates(self, told: Told) -> Rates:
        if told.glance is None:
            return Rates()
        self._past.append((told.seconds, told.glance))
        while len(self._past) > 1 and self._past[1][0] <= told.seconds - RATE_SECONDS:
            self._past.popleft()
        return rates_between(*self._past[0], told.seconds, told.glance)


def rates_between(before: float, earlier: Glance, now: float, later: Glance) -> Rates:
    """Return the rates between two moments; from the start on when there is only one."""
    if now <= before:
        return Rates(later.due / now, later.arrived / now) if now > 0 else Rates()
    span = now - before
    return Rates((later.due - earlier.due) / span, (later.arrived - earlier.arrived) / span)
