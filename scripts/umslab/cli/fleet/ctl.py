# SPDX-License-Identifier: Apache-2.0
"""Ask a running fleet how it is, and steer it; it was started with `umslab fleet run --state DIR`.

Examples:
    umslab fleet ctl status --state fleet
    umslab fleet ctl pause --state fleet
    umslab fleet ctl rate 50 --state fleet
    umslab fleet ctl disconnect --site north --for 30s --state fleet
    umslab fleet ctl device 17 --state fleet --json
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import msgspec
import typer

from umslab import exit_codes
from umslab.cli.ctl.asking import ask
from umslab.cli.fleet.options import duration
from umslab.cli.output import (
    SETTINGS,
    JsonOption,
    UserError,
    console,
    help_text,
    print_json,
    print_pairs,
    print_table,
)
from umslab.fleet.job import Told
from umslab.fleet.live import picture
from umslab.fleet.steering import MOST_PER_SECOND, socket_of
from umslab.printable import printable

app = typer.Typer(no_args_is_help=True, help=help_text(__doc__), **SETTINGS)

FleetStateOption = Annotated[Path, typer.Option("--state", metavar="DIR", help="That of `fleet run`.")]


@app.command()
def status(*, state: FleetStateOption, as_json: JsonOption = False) -> None:
    """Show how the run goes: devices, arrivals, latencies, failures, the generator."""
    found = _ask(state, "status")
    if as_json:
        print_json("status", found)
    else:
        console().print(picture(msgspec.convert(found, Told)))


@app.command()
def pause(*, state: FleetStateOption, as_json: JsonOption = False) -> None:
    """Let no device arrive until `resume`. Those that have arrived live on."""
    found = _ask(state, "pause")
    said = "arrivals are paused" if found["changed"] else "arrivals were paused already"
    _say(found, f"{said}: {found['to_come']} devices are to come", as_json=as_json)


@app.command()
def resume(*, state: FleetStateOption, as_json: JsonOption = False) -> None:
    """Let devices arrive again, all of them later by the pause."""
    found = _ask(state, "resume")
    said = "arrivals go on" if found["changed"] else "arrivals were not paused"
    _say(found, f"{said}: {found['to_come']} devices are to come", as_json=as_json)


@app.command()
def rate(
    per_second: Annotated[float, typer.Argument(metavar="N", help="Devices a second.")],
    *,
    state: FleetStateOption,
    as_json: JsonOption = False,
) -> None:
    """Let the devices that are to come yet arrive at this rate."""
    if not 0 < per_second <= MOST_PER_SECOND:
        limits = f"above 0 and at most {MOST_PER_SECOND:g} devices a second"
        raise UserError(f"a rate is {limits}; `umslab fleet ctl pause` holds arrivals back", exit_codes.USAGE)
    found = _ask(state, "rate", per_second=per_second)
    _say(found, f"{found['to_come']} devices are to come, {found['per_second']:g} a second", as_json=as_json)


@app.command()
def disconnect(
    *,
    site: Annotated[str, typer.Option(metavar="NAME", help="Only the devices of this site.")] = "",
    circuit: Annotated[str, typer.Option(metavar="SITE/N", help="Only those on this power circuit.")] = "",
    away: Annotated[str, typer.Option("--for", metavar="TIME", help="They reach nobody for so long.")] = "0s",
    state: FleetStateOption,
    as_json: JsonOption = False,
) -> None:
    """Break the sessions of all devices, of a site or of a circuit, as a storm does: it is counted as planned."""
    if site and circuit:
        raise UserError("devices are chosen in one way: --site or --circuit", exit_codes.USAGE)
    found = _ask(state, "disconnect", who=site or circuit or "all", seconds=duration(away, "--for"))
    told = f"{found['sessions']} sessions of {found['devices']} devices broken"
    _say(found, f"{told}, network away for {found['seconds']:g} s", as_json=as_json)


@app.command()
def device(
    which: Annotated[str, typer.Argument(metavar="INDEX|UNIT_ID", help="One device of the fleet.")],
    *,
    state: FleetStateOption,
    as_json: JsonOption = False,
) -> None:
    """Show one device: how it is, and what became of it lately."""
    found = _ask(state, "device", device=which)
    if as_json:
        print_json("device", found)
        return
    history = found.pop("history")
    print_pairs((name.replace("_", " "), value) for name, value in found.items())
    print()
    rows = [(f"{one['seconds']:.3f}", one["condition"], one["failed"]) for one in history]
    print_table(("second", "condition", "failed try"), rows, empty="it has not arrived yet")


def _ask(state: Path, name: str, **args: Any) -> Any:
    hint = "start one with `umslab fleet run --state DIR`, and name the same folder"
    return ask(socket_of(state), f"no fleet runs on {printable(str(state))}: {hint}", name, **args)


def _say(found: Any, sentence: str, *, as_json: bool) -> None:
    if as_json:
        print_json("done", found)
    else:
        print(sentence)
