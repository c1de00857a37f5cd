# SPDX-License-Identifier: Apache-2.0
"""`scripts/bench scenarios`: every shipped scenario by `umslab fleet run`, each against a fresh `umslab serve`.

It measures nothing of its own: what comes out are the reports that a user would get, their pages and pictures, and
whether each scenario kept its thresholds. The storms get a server that overload hurts (`BUSY_SERVER`); its numbers are
assumptions, as all of `--service-model` is (NP25), and say nothing about a real UMS.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from rich.console import Console
from rich.table import Table

from umslab.bench.report import EXIT_MISSED, machine
from umslab.bench.server_process import KEY, ServerProcess
from umslab.fleet.loading import load_scenario
from umslab.fleet.page import page
from umslab.fleet.pictures import write_pictures
from umslab.fleet.report_files import read_report, write_output
from umslab.fleet.summary import summarise
from umslab_agent.fleet.plan import make_plan
from umslab_agent.fleet.units import duration, number

if TYPE_CHECKING:
    from collections.abc import Callable

SPARE = 1.1
"""A scenario is scaled as if it took so much longer than its plan says: devices need time, too."""
PATIENCE_SECONDS = 900
"""Beyond twice the limit: whatever runs then is stuck."""
BUSY_SERVER = """\
# A small server: three workers, and sixty requests that may wait for them.
workers = 3
queue = 60
"""
STORMS = ("boot-storm", "server-restart")
"""Run against `BUSY_SERVER`."""


@dataclass(frozen=True)
class Ran:
    """What came of one scenario."""

    name: str
    devices: int
    time_scale: float
    seconds: float
    managed: int
    failures: int
    missed: list[str]
    """Thresholds, as they are written."""
    report: str
    page: str


def scale_for(name: str, devices: int | None, limit: float) -> float:
    """Return the time scale with which a scenario is planned for at most `limit` seconds: its own, or a higher one."""
    scenario = load_scenario(name, [] if devices is None else [("devices", devices)])
    seconds = make_plan(scenario).seconds * SPARE
    return scenario.time_scale * max(1.0, round(seconds / limit + 0.005, 2))


def run(
    names: list[str],
    *,
    devices: int | None,
    limit: float,
    folder: Path,
    pictures: Path | None,
    progress: Callable[[str], None],
) -> list[Ran]:
    """Run scenarios one after the other, each planned for at most `limit` seconds; leave reports in `folder`."""
    folder.mkdir(parents=True, exist_ok=True)
    found = []
    for name in names:
        scale = scale_for(name, devices, limit)
        progress(f"{name}: time scale {scale:g}")
        report = folder / f"{name}.json"
        report.unlink(missing_ok=True)
        with tempfile.TemporaryDirectory() as state:
            _fleet(name, devices, scale, Path(state), report, patience=2 * limit + PATIENCE_SECONDS)
        found.append(_ran(name, scale, report, pictures))
        progress(f"{name}: {_verdict(found[-1])} after {duration(found[-1].seconds)}")
    return found


def _fleet(name: str, devices: int | None, scale: float, state: Path, report: Path, *, patience: float) -> None:
    """Run one against its own server. Raises `RuntimeError` when there is no report, `TimeoutExpired` when stuck."""
    model = None
    if name in STORMS:
        model = state / "busy-server.toml"
        write_output(model, BUSY_SERVER.encode())
    with ServerProcess(state, settings=["enrolment.automatic=true"], service_model=model) as server:
        server.ask("keys.create", kind="mass", chosen=KEY)
        command = [sys.executable, "-m", "umslab", "fleet", "run", f"localhost:{server.port}", "--plain"]
        command += ["--scenario", name, "--time-scale", f"{scale:g}", "--auth-key", KEY, "--token", server.token]
        command += ["--os11-port", str(server.os11_port), "--server-state", str(state), "--report", str(report)]
        command += [] if devices is None else ["--devices", str(devices)]
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=patience)  # noqa: S603
    if not report.exists():
        raise RuntimeError(f"{name}: `umslab fleet run` left no report: {done.stderr.strip()[-500:]}")


def _ran(name: str, scale: float, file: Path, pictures: Path | None) -> Ran:
    report = read_report(file)
    html = file.with_suffix(".html")
    write_output(html, page(report).encode())
    if pictures is not None:
        write_pictures(report, pictures, name)
    summary = summarise(report)
    return Ran(
        name=name,
        devices=summary.devices,
        time_scale=scale,
        seconds=summary.seconds,
        managed=summary.managed,
        failures=summary.failures,
        missed=[one.text for one in report.thresholds if not one.met],
        report=str(file),
        page=str(html),
    )


def tell(found: list[Ran], *, as_json: bool) -> int:
    """Print what came of the scenarios; return the exit code: 0, or 99 when a threshold was missed."""
    if as_json:
        rows = [asdict(one) for one in found]
        print(json.dumps({"version": 1, "benchmark": "scenarios", "machine": machine(), "scenarios": rows}, indent=2))
    else:
        _print_table(found)
    return EXIT_MISSED if any(one.missed for one in found) else 0


def _print_table(found: list[Ran]) -> None:
    table = Table(title="scenarios", caption=", ".join(f"{key} {value}" for key, value in machine().items()))
    for heading in ("scenario", "devices", "time scale", "lasted", "managed", "failed tries", "thresholds"):
        table.add_column(heading, justify="left" if heading in {"scenario", "thresholds"} else "right")
    for one in found:
        table.add_row(
            one.name,
            number(one.devices),
            f"{one.time_scale:g}",
            duration(one.seconds),
            number(one.managed),
            number(one.failures),
            _verdict(one),
        )
    console = Console(width=None if sys.stdout.isatty() else 140)
    console.print(table)
    for one in found:
        console.print(one.page, highlight=False, soft_wrap=True)


def _verdict(one: Ran) -> str:
    return f"MISSED {', '.join(one.missed)}" if one.missed else "met"
