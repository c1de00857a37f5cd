# SPDX-License-Identifier: Apache-2.0
"""Ask OS 11 devices on UDP 30005 whether they are there.

With unit IDs, --dir, --all or --view the running server asks, and says what it knows of OS 12 devices too: those are
never asked, their session is their presence. With UNIT_ID@ADDRESS[:PORT] this program asks by itself.

Examples:
    umslab online-check --all
    umslab online-check 02AABBCCDDEE --json
    umslab online-check 02AABBCCDDEE@127.3.0.7 02AABBCCDDEF@127.3.0.8:31005 --tries 3 --timeout 0.5
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from umslab import exit_codes
from umslab.cli.ctl.asking import call
from umslab.cli.ctl.selecting import AllOption, DirOption, ViewOption, selector
from umslab.cli.output import (
    SETTINGS,
    JsonOption,
    StateOption,
    UserError,
    help_text,
    print_json,
    print_table,
    run_async,
)
from umslab.neighbours import Checked, check_alone, parse_owned, parse_target
from umslab_protocol.machines.online_check import CheckRules, Target
from umslab_runtime.network import ListenError
from umslab_runtime.policy import TargetRefusedError

app = typer.Typer(**SETTINGS)


@app.command(help=help_text(__doc__))
def online_check(
    devices: Annotated[
        list[str] | None,
        typer.Argument(metavar="[UNIT_ID[@ADDRESS[:PORT]]]...", help="Whom to ask.", show_default=False),
    ] = None,
    *,
    directory: DirOption = None,
    everyone: AllOption = False,
    view: ViewOption = None,
    timeout: Annotated[float, typer.Option(min=0.1, max=10, help="Seconds to an answer; with @ADDRESS only.")] = 1.0,
    tries: Annotated[int, typer.Option(min=1, max=10, help="Probes to each device; with @ADDRESS only.")] = 1,
    parallel: Annotated[
        int, typer.Option(min=1, max=100_000, help="Unanswered probes at the same time; with @ADDRESS only.")
    ] = 1_000,
    reply_port: Annotated[
        int, typer.Option(min=0, max=65_535, help="UDP port for answers, 0: any free one; with @ADDRESS only.")
    ] = 0,
    i_own: Annotated[
        list[str] | None,
        typer.Option(metavar="ADDRESS", help="This device outside the machine is mine to test; with @ADDRESS only."),
    ] = None,
    state: StateOption = None,
    as_json: JsonOption = False,
) -> None:
    """Ask devices whether they are there."""
    named = devices or []
    addressed = [text for text in named if "@" in text]
    if not addressed:
        report = _ask_server(state, selector(named, directory, view, everyone=everyone), quiet=as_json)
    elif len(addressed) < len(named) or directory or everyone or view:
        raise UserError("name all devices with @ADDRESS, or none: then the server asks", exit_codes.USAGE)
    else:
        targets = [parse_target(text) for text in named]
        if len({target.unit_id for target in targets}) < len(targets):
            raise UserError("a device is named twice", exit_codes.USAGE)
        rules = CheckRules(timeout_seconds=timeout, tries=tries, parallel=parallel)
        report = _ask_alone(targets, rules, i_own or [], reply_port, quiet=as_json)
    if as_json:
        print_json("online_check", report)
    else:
        _print(report)
    raise SystemExit(exit_codes.OK if set(report["counts"]) <= {"online"} else exit_codes.FAILED)


def _ask_server(state: Path | None, chosen: dict[str, Any], *, quiet: bool) -> dict[str, Any]:
    def progress(item: dict[str, Any]) -> None:
        if not quiet:
            print(f"{item['reached']} of {item['targets']} have answered", file=sys.stderr, flush=True)

    report: dict[str, Any] = call(state, "online-check", progress, selector=chosen)
    return report


def _ask_alone(
    targets: list[Target], rules: CheckRules, owned: list[str], reply_port: int, *, quiet: bool
) -> dict[str, Any]:
    addresses = parse_owned(owned)
    tenth = 0

    def progress(checked: Checked) -> None:
        """Tell whenever another tenth of them is decided."""
        nonlocal tenth
        before, tenth = tenth, 10 * (len(checked.reached) + len(checked.missed) + len(checked.skipped)) // len(targets)
        if tenth > before and not quiet:
            print(f"{len(checked.reached)} of {len(targets)} have answered", file=sys.stderr, flush=True)

    async def ask() -> Checked:
        return await check_alone(targets, rules, owned=addresses, reply_port=reply_port, on_change=progress)

    try:
        checked = run_async(ask)
    except (ListenError, TargetRefusedError) as error:
        raise UserError(str(error)) from None
    except KeyboardInterrupt:
        raise SystemExit(130) from None
    devices = [_row(target, checked) for target in targets]
    return {
        "devices": devices,
        "counts": {word: sum(one["state"] == word for one in devices) for word in {one["state"] for one in devices}},
        "counters": checked.counters,
        "timeout_seconds": rules.timeout_seconds,
        "tries": rules.tries,
    }


def _row(target: Target, checked: Checked) -> dict[str, Any]:
    seconds = checked.reached.get(target.unit_id)
    known = "online" if seconds is not None else "offline"
    return {
        "unit_id": target.unit_id,
        "name": "",
        "address": target.host,
        "state": "unknown" if target.unit_id in checked.skipped else known,
        "by": "online-check",
        "milliseconds": None if seconds is None else round(seconds * 1000, 3),
        "why": checked.skipped.get(target.unit_id, ""),
    }


def _print(report: dict[str, Any]) -> None:
    print_table(
        ("unit ID", "name", "address", "state", "by", "ms", "why unknown"),
        (
            (one["unit_id"], one["name"], one["address"], one["state"], one["by"], one["milliseconds"], one["why"])
            for one in report["devices"]
        ),
        empty="no devices",
    )
    print(", ".join(f"{count} {word}" for word, count in sorted(report["counts"].items())) or "nobody was asked")
    odd = {name: count for name, count in report["counters"].items() if name not in {"probes", "good"} and count}
    if odd:
        print("answers that did not count: " + ", ".join(f"{count} {name}" for name, count in odd.items()))
