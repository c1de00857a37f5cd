# SPDX-License-Identifier: Apache-2.0
"""Give commands to devices and see what became of them.

Examples:
    umslab ctl command reboot 00E0C5000001 --retry-at-boot
    umslab ctl command message --dir /Bremen --param text="Back at noon"
    umslab ctl command update --all --parallel 20 --no-wait
    umslab ctl command checkreenroll --dir /Bremen --force --parallel 20
    umslab ctl command results ID-ums-1-1767225600000-1-0
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Any

import typer

from umslab import exit_codes
from umslab.cli.ctl.asking import call
from umslab.cli.ctl.selecting import (
    AllOption,
    DirOption,
    ParameterOption,
    UnitIdsArgument,
    ViewOption,
    pairs,
    seconds,
    selector,
)
from umslab.cli.output import SETTINGS, JsonOption, StateOption, help_text, print_json, print_pairs, print_table
from umslab.printable import printable
from umslab_protocol.wire.orders import TRUE, CommandName

app = typer.Typer(no_args_is_help=True, help=help_text(__doc__), **SETTINGS)

WHAT = {
    CommandName.REBOOT: "Boot the devices again.",
    CommandName.SHUTDOWN: "Switch the devices off.",
    CommandName.SUSPEND: "Put the devices to sleep.",
    CommandName.SETTINGS_TO_DEVICE: "Let the devices take their settings now.",
    CommandName.SETTINGS_FROM_DEVICE: "Let the devices send the settings made on them.",
    CommandName.FACTORY_RESET: "Let the devices forget settings, pins and this server.",
    CommandName.UPDATE: "Update the devices; `--param version=...` says to what.",
    CommandName.UPDATE_ON_SHUTDOWN: "Update the devices when they are switched off.",
    CommandName.REFRESH_SYSTEM_INFORMATION: "Let the devices tell what they are.",
    CommandName.REFRESH_LICENCE: "Let the devices look for their licences.",
    CommandName.MESSAGE: "Show a message; needs `--param text=...`.",
    CommandName.FILE_TRANSFER: "Let the devices fetch a file of the server; needs `--param file=NAME`.",
    CommandName.DEVICE_COMMAND: "Run a command of the device's own; needs `--param name=...`.",
    CommandName.WAKE_UP: "Send magic packets to devices that sleep; nobody can say whether they wake.",
    CommandName.CHECK_REENROLMENT: "Let the devices renew their certificates if that is due; `--force`: in any case.",
}


def _verb(name: CommandName) -> Callable[..., None]:
    """Make the verb of a command."""

    def run(
        unit_ids: UnitIdsArgument = None,
        *,
        directory: DirOption = None,
        everyone: AllOption = False,
        view: ViewOption = None,
        parameters: ParameterOption = None,
        force: bool = False,
        retry_at_boot: Annotated[
            bool, typer.Option("--retry-at-boot", help="Who is away gets it at the next boot.")
        ] = False,
        timeout: Annotated[
            str | None, typer.Option(metavar="TIME", help="From the sending to the result; for example 30s or 2m.")
        ] = None,
        parallel: Annotated[int, typer.Option(min=0, help="Devices at the same time; 0: as many as can be.")] = 0,
        delay: Annotated[str, typer.Option(metavar="TIME", help="From one device to the next.")] = "0",
        wait: Annotated[bool, typer.Option(help="Show each result as it comes.")] = True,
        state: StateOption = None,
        as_json: JsonOption = False,
    ) -> None:
        chosen = selector(unit_ids, directory, view, everyone=everyone)
        progress = _Progress(quiet=as_json)
        summary = call(
            state,
            "command.start",
            progress.take,
            command=str(name),
            selector=chosen,
            parameters=pairs(parameters) | ({"force": TRUE} if force else {}),
            retry_at_boot=retry_at_boot,
            timeout_seconds=seconds(timeout),
            parallel=parallel,
            delay_seconds=seconds(delay),
            wait=wait,
        )
        progress.finish(summary, waited=wait)

    run.__doc__ = WHAT[name]
    hidden = name is not CommandName.CHECK_REENROLMENT  # the server says of every other one that it has no force
    run.__annotations__["force"] = Annotated[
        bool, typer.Option("--force", hidden=hidden, help="Renew although it is not due (simulated).")
    ]
    return run


for _name in CommandName:
    app.command(str(_name))(_verb(_name))


class _Progress:
    """Shows results as they come."""

    def __init__(self, *, quiet: bool) -> None:
        self._quiet = quiet
        self._devices = 0
        self._tasks: list[dict[str, Any]] = []

    def take(self, item: dict[str, Any]) -> None:
        """Show one item of the server."""
        if "devices" in item:
            self._devices = item["devices"]
            if not self._quiet:
                print(f"{item['exec_id']}: {_count(self._devices)}", flush=True)
            return
        self._tasks.append(item)
        if not self._quiet:
            message = f"  {item['message']}" if item["message"] else ""
            text = f"[{len(self._tasks)}/{self._devices}] {item['unit_id']}  {item['state']}{message}"
            print(printable(text), flush=True)

    def finish(self, summary: dict[str, Any], *, waited: bool) -> None:
        """Show how it ended; exit code 3 when it failed anywhere."""
        if self._quiet:
            print_json("command", {**summary, "tasks": self._tasks})
        elif not waited:
            print(f"{summary['exec_id']}: {_count(summary['devices'])}; see `umslab ctl command results`")
        else:
            print(_states(summary))
        if summary["states"].get("FAILED"):
            raise typer.Exit(exit_codes.FAILED)


@app.command("list")
def list_executions(
    *,
    limit: Annotated[int, typer.Option(min=1, max=1_000, help="How many.")] = 20,
    state: StateOption = None,
    as_json: JsonOption = False,
) -> None:
    """List the commands that were given, newest first."""
    executions = call(state, "command.list", limit=limit)
    if as_json:
        print_json("executions", executions)
    else:
        print_executions(executions)


@app.command("results")
def show_results(
    exec_id: Annotated[str, typer.Argument(metavar="EXEC", help="Execution ID, as `command list` shows it.")],
    *,
    state: StateOption = None,
    as_json: JsonOption = False,
) -> None:
    """Show what became of a command on each device."""
    result = call(state, "command.results", exec_id=exec_id)
    if as_json:
        print_json("results", result)
        return
    execution, tasks = result["execution"], result["tasks"]
    parameters = " ".join(f"{name}={value}" for name, value in execution["parameters"].items())
    print_pairs(
        [
            ("command", f"{execution['command']} {parameters}".strip()),
            ("given", f"{execution['created_at']} by {execution['actor']}"),
            ("finished", execution["finished_at"]),
            ("devices", _states(execution)),
        ]
    )
    print_table(
        ("unit ID", "state", "message", "sent", "finished"),
        ((one["unit_id"], one["state"], one["message"], one["sent_at"], one["finished_at"]) for one in tasks),
        empty="no devices",
    )


@app.command("follow")
def follow_execution(
    exec_id: Annotated[str, typer.Argument(metavar="EXEC", help="Execution ID, as `command list` shows it.")],
    *,
    state: StateOption = None,
    as_json: JsonOption = False,
) -> None:
    """Show each result as it comes, whoever gave the command; what waits for a boot is not waited for."""
    progress = _Progress(quiet=as_json)
    progress.finish(call(state, "command.follow", progress.take, exec_id=exec_id), waited=True)


@app.command("cancel")
def cancel_execution(
    exec_id: Annotated[str, typer.Argument(metavar="EXEC", help="Execution ID, as `command list` shows it.")],
    *,
    state: StateOption = None,
) -> None:
    """Give up what is still open: what waits for its turn, its result or the next boot of a device."""
    print(f"{call(state, 'command.cancel', exec_id=exec_id)['cancelled']} cancelled")


def print_executions(executions: list[dict[str, Any]]) -> None:
    """Print executions, one a line."""
    print_table(
        ("id", "command", "given", "by", "finished", "devices"),
        (
            (one["exec_id"], one["command"], one["created_at"], one["actor"], one["finished_at"], _states(one))
            for one in executions
        ),
        empty="no commands were given",
    )


def _states(execution: dict[str, Any]) -> str:
    return ", ".join(f"{count} {state}" for state, count in execution["states"].items())


def _count(devices: int) -> str:
    return "1 device" if devices == 1 else f"{devices} devices"
