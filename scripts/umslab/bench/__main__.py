# SPDX-License-Identifier: Apache-2.0
"""`scripts/bench VERB`: measure, print, and exit 99 when a target was missed."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from umslab.bench import connections as connections_bench
from umslab.bench import dhcp as dhcp_bench
from umslab.bench import fleet as fleet_bench
from umslab.bench import messages as messages_bench
from umslab.bench import scenarios as scenarios_bench
from umslab.bench import soak as soak_bench
from umslab.bench import sweep as sweep_bench
from umslab.bench.report import report
from umslab.cli.fleet.options import duration
from umslab.cli.output import UserError
from umslab.fleet.loading import shipped_names

app = typer.Typer(
    help=__doc__, no_args_is_help=True, add_completion=False, context_settings={"help_option_names": ["-h", "--help"]}
)


@app.callback()
def _verbs() -> None:
    """Benchmarks of umslab; each compares within its own run."""


@app.command()
def connections(
    count: Annotated[int, typer.Option("--connections", min=100, max=9000, help="Connections a turn.")] = 2000,
    rounds: Annotated[int, typer.Option(min=1, max=20, help="Turns of each contender.")] = 3,
    *,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON instead of a table.")] = False,
) -> None:
    """Memory, connects and messages of a connection, against a bare loop and `websockets` on asyncio."""
    measures = connections_bench.run(count=count, rounds=rounds, progress=_progress)
    raise SystemExit(report("connections", measures, as_json=as_json))


@app.command()
def messages(
    count: Annotated[int, typer.Option("--devices", min=100, max=9000, help="Connected devices.")] = 5000,
    rounds: Annotated[int, typer.Option(min=1, max=20, help="Pushes of each contender.")] = 5,
    *,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON instead of a table.")] = False,
) -> None:
    """A settings push to all connected devices, and commands, against a bare send loop."""
    measures = messages_bench.run(count=count, rounds=rounds, progress=_progress)
    raise SystemExit(report("messages", measures, as_json=as_json))


@app.command()
def dhcp(
    count: Annotated[int, typer.Option("--clients", min=100, max=10_000, help="Clients a turn.")] = 2000,
    rounds: Annotated[int, typer.Option(min=1, max=20, help="Turns of each contender.")] = 3,
    *,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON instead of a table.")] = False,
) -> None:
    """Leases of simulated DHCP clients from Kea, against perfdhcp; needs root, for namespaces of its own."""
    measures = dhcp_bench.run(count=count, rounds=rounds, progress=_progress)
    raise SystemExit(report("dhcp", measures, as_json=as_json))


@app.command()
def sweep(
    count: Annotated[int, typer.Option("--devices", min=100, max=100_000, help="Devices that are asked.")] = 10_000,
    rounds: Annotated[int, typer.Option(min=1, max=100, help="Sweeps of each contender.")] = 10,
    *,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON instead of a table.")] = False,
) -> None:
    """Online checks of devices on their own addresses, against the bare drain loop; forged answers; loss."""
    measures = sweep_bench.run(count=count, rounds=rounds, progress=_progress)
    raise SystemExit(report("sweep", measures, as_json=as_json))


@app.command()
def fleet(
    count: Annotated[int, typer.Option("--devices", min=100, max=9000, help="Devices a storm.")] = 2000,
    rounds: Annotated[int, typer.Option(min=1, max=20, help="Turns of each contender.")] = 3,
    *,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON instead of a table.")] = False,
) -> None:
    """Onboarding and reconnect storms of managed devices against `umslab serve`, and what each costs it."""
    measures = fleet_bench.run(count=count, rounds=rounds, progress=_progress)
    raise SystemExit(report("fleet", measures, as_json=as_json))


@app.command()
def soak(
    count: Annotated[
        int, typer.Option("--devices", min=10, max=19_000, help="Devices on one server process.")
    ] = 19_000,
    minutes: Annotated[float, typer.Option(min=0.05, max=1440, help="How long all are there.")] = 30,
    rate: Annotated[float, typer.Option(min=10, max=1000, help="Devices a second that come, and come back.")] = 50,
    *,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON instead of a table.")] = False,
) -> None:
    """Many devices at once for a long time, a command to all, and a server that is killed and started again.

    With --minutes 66 or more it also waits for one heartbeat of each device: they come once an hour at the most.
    """
    measures = soak_bench.run(count=count, minutes=minutes, rate=rate, progress=_progress)
    raise SystemExit(report("soak", measures, as_json=as_json))


@app.command()
def scenarios(
    names: Annotated[
        list[str] | None, typer.Argument(metavar="[NAME...]", help="Which ones; without a name all.")
    ] = None,
    *,
    devices: Annotated[int | None, typer.Option(min=1, max=9000, help="Instead of the scenario's own number.")] = None,
    time_limit: Annotated[str, typer.Option(metavar="TIME", help="Scale longer ones to it.")] = "30m",
    out: Annotated[Path, typer.Option(metavar="DIR", help="Where reports and pages are left.")] = Path("var/scenarios"),
    pictures: Annotated[Path | None, typer.Option(metavar="DIR", help="Also write the charts as SVG files.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON instead of a table.")] = False,
) -> None:
    """The shipped scenarios, each against a fresh `umslab serve`; exit code 99 when one missed a threshold."""
    unknown = sorted(set(names or ()) - set(shipped_names()))
    if unknown:
        raise typer.BadParameter(f"{', '.join(unknown)}: there are {', '.join(shipped_names())}")
    try:
        limit = duration(time_limit, "--time-limit")
    except UserError as error:
        raise typer.BadParameter(str(error)) from None
    if not limit:
        raise typer.BadParameter("--time-limit: it takes more than no time")
    found = scenarios_bench.run(
        names or shipped_names(), devices=devices, limit=limit, folder=out, pictures=pictures, progress=_progress
    )
    raise SystemExit(scenarios_bench.tell(found, as_json=as_json))


def _progress(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


if __name__ == "__main__":
    app()
