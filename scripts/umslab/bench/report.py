# SPDX-License-Identifier: Apache-2.0
"""What every benchmark prints: a table for people, JSON for machines, and an exit code."""

from __future__ import annotations

import json
import platform
import ssl
import sys
from dataclasses import asdict, dataclass

import trio
from rich.console import Console
from rich.table import Table

EXIT_MISSED = 99


@dataclass(frozen=True)
class Target:
    """A bound on a ratio."""

    at_most: float | None = None
    at_least: float | None = None

    def holds(self, ratio: float) -> bool:
        """Whether the ratio keeps the bound."""
        return (self.at_most is None or ratio <= self.at_most) and (self.at_least is None or ratio >= self.at_least)

    def __str__(self) -> str:
        return f"≤ {self.at_most:.2f}" if self.at_most is not None else f"≥ {self.at_least:.2f}"


@dataclass(frozen=True)
class Measure:
    """One quantity of the product beside the same quantity of another in the same run."""

    name: str
    unit: str
    product: float
    against: str
    other: float
    ratio: float
    """The median over the rounds of (product / other)."""
    target: Target | None

    @property
    def met(self) -> bool:
        """Whether the target, if there is one, is met."""
        return self.target is None or self.target.holds(self.ratio)


def machine() -> dict[str, str]:
    """What the numbers were measured with."""
    return {
        "python": platform.python_version(),
        "openssl": ssl.OPENSSL_VERSION,
        "trio": trio.__version__,
        "machine": platform.machine(),
    }


def report(title: str, measures: list[Measure], *, as_json: bool) -> int:
    """Print the measures; return the exit code: 0, or 99 when a target was missed."""
    missed = [measure for measure in measures if not measure.met]
    if as_json:
        rows = [asdict(measure) | {"met": measure.met} for measure in measures]
        print(json.dumps({"version": 1, "benchmark": title, "machine": machine(), "measures": rows}, indent=2))
    else:
        _print_table(title, measures)
        for measure in missed:
            print(f"missed: {measure.name}: {measure.ratio:.2f} of {measure.against}, target {measure.target}")
    return EXIT_MISSED if missed else 0


def _print_table(title: str, measures: list[Measure]) -> None:
    table = Table(title=title, caption=", ".join(f"{key} {value}" for key, value in machine().items()))
    for heading in ("what", "product", "against", "it has", "ratio", "target"):
        table.add_column(heading, justify="right" if heading in {"product", "it has", "ratio"} else "left")
    for measure in measures:
        verdict = "" if measure.target is None else f"{measure.target} {'met' if measure.met else 'MISSED'}"
        table.add_row(
            measure.name,
            f"{measure.product:,.1f} {measure.unit}",
            measure.against,
            f"{measure.other:,.1f} {measure.unit}",
            f"{measure.ratio:.2f}",
            verdict,
        )
    Console(width=None if sys.stdout.isatty() else 140).print(table)
