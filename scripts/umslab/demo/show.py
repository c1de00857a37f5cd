# SPDX-License-Identifier: Apache-2.0
"""What the demo shows: a live table on a terminal, plain lines elsewhere, and a summary."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Self

import trio
from rich.console import Console
from rich.live import Live
from rich.table import Table

if TYPE_CHECKING:
    from collections.abc import Callable

    from umslab_agent.living import Change


class Show:
    """Tells the story: a live table on a terminal, plain lines elsewhere."""

    def __init__(self) -> None:
        self.console = Console(highlight=False)
        self.changes: dict[str, Change] = {}
        self._live: Live | None = None
        self.results: list[tuple[str, str]] = []
        self._changed = trio.Event()

    def __enter__(self) -> Self:
        if self.console.is_terminal:
            self._live = Live(self._table(), console=self.console, refresh_per_second=8, transient=True)
            self._live.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self._live is not None:
            self._live.stop()

    def step(self, text: str) -> None:
        """Begin a step."""
        self.console.print(f"[bold]{text}[/bold]" if self.console.is_terminal else f"== {text}")

    def result(self, what: str, text: str) -> None:
        """End a step well."""
        self.results.append((what, text))
        self.console.print(f"   {text}")

    def note(self, unit_id: str, change: Change) -> None:
        """Take a device's change."""
        self.changes[unit_id] = change
        self._changed.set()
        self._changed = trio.Event()
        if self._live is not None:
            self._live.update(self._table())

    async def until(self, holds: Callable[[Counter[str]], bool]) -> None:
        """Wait until the counts of the states are as wanted."""
        while True:
            changed = self._changed
            if holds(self.count()):
                return
            await changed.wait()

    def count(self) -> Counter[str]:
        """Devices by state."""
        return Counter("managed" if change.managed else str(change.state) for change in self.changes.values())

    def summary(self) -> None:
        """Print what was shown."""
        table = Table(title="what the demo showed", title_justify="left")
        table.add_column("step")
        table.add_column("result")
        for row in self.results:
            table.add_row(*row)
        self.console.print(table)

    def _table(self) -> Table:
        table = Table(box=None, pad_edge=False)
        for heading in ("unit ID", "state", "unit ID ", "state "):
            table.add_column(heading, no_wrap=True)
        cells = [
            (unit_id, "managed" if change.managed else str(change.state))
            for unit_id, change in sorted(self.changes.items())
        ]
        half = (len(cells) + 1) // 2
        for index in range(half):
            right = cells[half + index] if half + index < len(cells) else ("", "")
            table.add_row(*cells[index], *right)
        return table
