# SPDX-License-Identifier: Apache-2.0
"""The options that say what a fleet is: the same for `plan` and `run`."""

from __future__ import annotations

import re
from typing import Annotated, Any

import typer

from umslab import exit_codes
from umslab.cli.output import UserError
from umslab.fleet.loading import load_scenario
from umslab.settings import parse_assignment
from umslab_agent.fleet.plan import Plan, make_plan
from umslab_agent.fleet.scenario import Scenario
from umslab_certs.keys import KeyType

_DURATION = re.compile(r"(\d{1,9}(?:\.\d{1,3})?)(ms|s|m|h|d|)", re.ASCII)
_UNITS = {"": 1.0, "ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86_400.0}

DevicesOption = Annotated[int | None, typer.Option("--devices", "-n", metavar="N", help="How many devices.")]
RampOption = Annotated[str, typer.Option(metavar="TIME", help="They arrive evenly over so long, such as 60s or 5m.")]
RateOption = Annotated[float | None, typer.Option(metavar="N", help="Or: so many a second, one after the other.")]
PoissonOption = Annotated[
    float | None, typer.Option(metavar="N", help="Or: so many a second on average, independently of each other.")
]
AtOnceOption = Annotated[bool, typer.Option("--at-once", help="Or: all together.")]
ReplayOption = Annotated[
    str, typer.Option(metavar="CSV", help="Or: as recorded, one number of seconds a line for each device.")
]
SeedOption = Annotated[int | None, typer.Option(metavar="N", help="All chance comes from it (default 1).")]
FirstIndexOption = Annotated[int | None, typer.Option(metavar="N", help="Number devices from here (default 0).")]
KeyTypeOption = Annotated[KeyType | None, typer.Option(help="Device keys; real devices use rsa-4096.")]
TimeScaleOption = Annotated[
    float | None, typer.Option(metavar="N", help="So many seconds of the scenario pass in a real one (default 1).")
]
OutstandingOption = Annotated[
    int | None, typer.Option(metavar="N", help="At most so many on their way; others wait, and their time counts.")
]
SteadyOption = Annotated[str, typer.Option(metavar="TIME", help="Stay so long after all are on board.")]
SetOption = Annotated[
    list[str] | None, typer.Option("--set", metavar="KEY=VALUE", help="Any other key of the scenario; repeatable.")
]
ShardOption = Annotated[str, typer.Option(metavar="I/N", help="Only this part of the fleet; others run elsewhere.")]


def duration(text: str, flag: str) -> float:
    """Read a time such as `500ms`, `90`, `60s`, `5m`, `1.5h`. Raises `UserError`, which names the flag."""
    match = _DURATION.fullmatch(text.strip())
    if match is None:
        raise UserError(f"{flag}: {text[:40]!r} is no time: write for example 500ms, 60s, 5m or 2h", exit_codes.USAGE)
    return float(match[1]) * _UNITS[match[2]]


def scenario_of(
    what: str,
    *,
    devices: int | None,
    ramp: str,
    rate: float | None,
    poisson: float | None,
    at_once: bool,
    replay: str,
    seed: int | None,
    first_index: int | None,
    key_type: KeyType | None,
    time_scale: float | None,
    outstanding: int | None,
    steady: str,
    assignments: list[str] | None,
) -> Scenario:
    """Read the scenario and put the flags on top. Raises `SettingsError` and `UserError`."""
    flags: list[tuple[str, Any]] = [parse_assignment(text) for text in assignments or []]
    plain = {
        "devices": devices,
        "seed": seed,
        "first_index": first_index,
        "time_scale": time_scale,
        "outstanding": outstanding,
    }
    flags += [(key, value) for key, value in plain.items() if value is not None]
    arrivals = [
        {"kind": "ramp", "seconds": duration(ramp, "--ramp")} if ramp else None,
        {"kind": "rate", "per_second": rate} if rate is not None else None,
        {"kind": "poisson", "per_second": poisson} if poisson is not None else None,
        {"kind": "at-once"} if at_once else None,
        {"kind": "replay", "file": replay} if replay else None,
    ]
    given = [one for one in arrivals if one is not None]
    if len(given) > 1:
        raise UserError("devices arrive in one way: --ramp, --rate, --poisson, --at-once or --replay", exit_codes.USAGE)
    flags += [("arrivals", one) for one in given]
    if key_type is not None:
        flags.append(("mix", [{"key_type": str(key_type)}]))
    if steady:
        seconds = duration(steady, "--steady")
        flags.append(("phases", [{"kind": "onboard"}, {"kind": "steady", "seconds": seconds}]))
    return load_scenario(what, flags)


def plan_of(scenario: Scenario, shard: str) -> Plan:
    """Make the plan, or this part of it. Raises `UserError` for a shard that there is not."""
    try:
        whole = make_plan(scenario)
    except ValueError as error:
        raise UserError(str(error), exit_codes.USAGE) from None
    if not shard:
        return whole
    match = re.fullmatch(r"(\d{1,6})/(\d{1,6})", shard, re.ASCII)
    if match is None:
        raise UserError(f"--shard: {shard[:40]!r} is no part: write for example 2/4", exit_codes.USAGE)
    try:
        part = whole.part(int(match[1]), int(match[2]))
    except ValueError as error:
        raise UserError(f"--shard: {error}", exit_codes.USAGE) from None
    if not part.devices:
        raise UserError(f"--shard: {shard} of {len(whole.devices)} devices has none", exit_codes.USAGE)
    return part
