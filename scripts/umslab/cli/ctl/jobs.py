# SPDX-License-Identifier: Apache-2.0
"""Commands that are given later, or again and again.

Examples:
    umslab ctl jobs create nightly-reboot reboot --all --at 2026-11-22T03:00 --every 1d
    umslab ctl jobs show nightly-reboot
    umslab ctl jobs run nightly-reboot
"""

from __future__ import annotations

from typing import Annotated, Any

import typer

from umslab.cli.ctl.asking import call
from umslab.cli.ctl.command import print_executions
from umslab.cli.ctl.selecting import (
    AllOption,
    DirOption,
    ParameterOption,
    UnitIdsArgument,
    ViewOption,
    moment,
    pairs,
    seconds,
    selector,
)
from umslab.cli.output import SETTINGS, JsonOption, StateOption, help_text, print_json, print_pairs, print_table
from umslab_protocol.wire.orders import CommandName

app = typer.Typer(no_args_is_help=True, help=help_text(__doc__), **SETTINGS)

NEVER = "never"
JobArgument = Annotated[str, typer.Argument(metavar="NAME", help="Name of the job.")]


@app.command("create")
def create_job(
    job: JobArgument,
    command: Annotated[CommandName, typer.Argument(metavar="COMMAND", help="As in `umslab ctl command`.")],
    unit_ids: UnitIdsArgument = None,
    *,
    directory: DirOption = None,
    everyone: AllOption = False,
    view: ViewOption = None,
    parameters: ParameterOption = None,
    at: Annotated[
        str | None, typer.Option(metavar="DATE", help="First run, for example 2026-11-21T20:40 (local time).")
    ] = None,
    within: Annotated[
        str | None, typer.Option("--in", metavar="TIME", help="First run so much later: 10m, 2h.")
    ] = None,
    every: Annotated[str | None, typer.Option(metavar="TIME", help="Again after this time: 12h, 1d.")] = None,
    expiry: Annotated[
        str | None,
        typer.Option(metavar="TIME", help="Leave a run out that is later than this; `never` (default: server's)."),
    ] = None,
    retry_at_boot: Annotated[
        bool, typer.Option("--retry-at-boot", help="Who is away gets it at the next boot.")
    ] = False,
    timeout: Annotated[str | None, typer.Option(metavar="TIME", help="From the sending to the result.")] = None,
    parallel: Annotated[int, typer.Option(min=0, help="Devices at the same time; 0: as many as can be.")] = 0,
    delay: Annotated[str, typer.Option(metavar="TIME", help="From one device to the next.")] = "0",
    keep_results: Annotated[bool, typer.Option(help="Keep what became of it on each device.")] = True,
    enabled: Annotated[bool, typer.Option("--enabled/--disabled", help="Whether it runs.")] = True,
    state: StateOption = None,
    as_json: JsonOption = False,
) -> None:
    """Make a job; without --at, --in and --every it runs only by `jobs run`."""
    limits: dict[str, Any] = {}
    if expiry is not None:
        limits["expiry_seconds"] = None if expiry == NEVER else seconds(expiry)
    made = call(
        state,
        "jobs.create",
        job=job,
        command=str(command),
        selector=selector(unit_ids, directory, view, everyone=everyone),
        parameters=pairs(parameters),
        at=moment(at),
        in_seconds=seconds(within),
        every_seconds=seconds(every),
        retry_at_boot=retry_at_boot,
        timeout_seconds=seconds(timeout),
        parallel=parallel,
        delay_seconds=seconds(delay),
        keep_results=keep_results,
        enabled=enabled,
        **limits,
    )
    if as_json:
        print_json("job", made)
    else:
        print(f"{made['name']}: next run {made['next_run_at'] or 'by hand'}")


@app.command("list")
def list_jobs(*, state: StateOption = None, as_json: JsonOption = False) -> None:
    """List all jobs."""
    jobs = call(state, "jobs.list")
    if as_json:
        print_json("jobs", jobs)
        return
    print_table(
        ("job", "command", "devices", "enabled", "next run", "last run"),
        (
            (one["name"], one["command"], _devices(one), one["enabled"], one["next_run_at"], one["last_run_at"])
            for one in jobs
        ),
        empty="no jobs; make one with `umslab ctl jobs create`",
    )


@app.command("show")
def show_job(job: JobArgument, *, state: StateOption = None, as_json: JsonOption = False) -> None:
    """Show a job and its last runs."""
    result = call(state, "jobs.show", job=job)
    if as_json:
        print_json("job", result)
        return
    runs = result.pop("runs")
    result["devices"], result["parameters"] = _devices(result), _words(result["parameters"])
    del result["selector"]
    print_pairs((name.replace("_", " "), value) for name, value in result.items())
    print_executions(runs)


@app.command("enable")
def enable_job(job: JobArgument, *, state: StateOption = None) -> None:
    """Let a job run again; what it missed it does not do later."""
    call(state, "jobs.enable", job=job, enabled=True)


@app.command("disable")
def disable_job(job: JobArgument, *, state: StateOption = None) -> None:
    """Let a job not run until it is enabled."""
    call(state, "jobs.enable", job=job, enabled=False)


@app.command("run")
def run_job(job: JobArgument, *, state: StateOption = None, as_json: JsonOption = False) -> None:
    """Give a job's command now, whatever its plan."""
    result = call(state, "jobs.run", job=job)
    if as_json:
        print_json("run", result)
    else:
        print(result["exec_id"] or "no device is meant now")


@app.command("delete")
def delete_job(job: JobArgument, *, state: StateOption = None) -> None:
    """Delete a job; commands that are under way go on, results stay."""
    call(state, "jobs.delete", job=job)


def _devices(job: dict[str, Any]) -> str:
    chosen = job["selector"]
    ways = [
        "all" if chosen.get("everyone") else "",
        f"--dir {chosen['directory']}" if chosen.get("directory") else "",
        f"--view {chosen['view']}" if chosen.get("view") else "",
        *chosen.get("unit_ids", []),
    ]
    return " ".join(filter(None, ways))


def _words(parameters: dict[str, str]) -> str:
    return " ".join(f"{name}={value}" for name, value in parameters.items())
