# SPDX-License-Identifier: Apache-2.0
"""How a person says which devices are meant, the same for every verb: `UNIT_ID...`, `--dir`, `--all` or `--view`."""

from __future__ import annotations

import re
from datetime import datetime
from pathlib import Path
from typing import Annotated, Any

import typer

from umslab import exit_codes
from umslab.cli.ctl.asking import call
from umslab.cli.output import UserError

UnitIdsArgument = Annotated[
    list[str] | None, typer.Argument(metavar="UNIT_ID", help="Unit IDs of devices.", show_default=False)
]
DirOption = Annotated[
    str | None,
    typer.Option("--dir", metavar="PATH", help="The devices of a directory and of all below it; path or number."),
]
AllOption = Annotated[bool, typer.Option("--all", help="All devices.")]
ViewOption = Annotated[str | None, typer.Option("--view", metavar="NAME", help="The devices in a saved view.")]
ParameterOption = Annotated[
    list[str] | None,
    typer.Option("--param", metavar="NAME=VALUE", help="A parameter of the command; may be repeated."),
]

_UNITS = {"": 1, "s": 1, "m": 60, "h": 3600, "d": 86_400, "w": 7 * 86_400}
_DURATION = re.compile(r"(\d{1,9}(?:\.\d{1,3})?)([smhdw]?)", re.ASCII)


def selector(unit_ids: list[str] | None, directory: str | None, view: str | None, *, everyone: bool) -> dict[str, Any]:
    """Return what the server calls a selector. Raises `UserError` unless exactly one way was used, beside names."""
    ways = (directory is not None) + everyone + (view is not None)
    if ways > 1:
        raise UserError("use only one of --dir, --all and --view", exit_codes.USAGE)
    if not ways and not unit_ids:
        raise UserError("which devices? name unit IDs, or use --dir, --all or --view", exit_codes.USAGE)
    return {"unit_ids": unit_ids or [], "directory": directory, "everyone": everyone, "view": view}


def select(
    state: Path | None, unit_ids: list[str] | None, directory: str | None, view: str | None, *, everyone: bool
) -> list[str]:
    """Return the unit IDs of the devices that are meant now. Raises `UserError`."""
    return list(call(state, "devices.select", selector=selector(unit_ids, directory, view, everyone=everyone)))


def pairs(values: list[str] | None) -> dict[str, str]:
    """Read `NAME=VALUE` words. Raises `UserError`."""
    found: dict[str, str] = {}
    for text in values or []:
        name, equals, value = text.partition("=")
        if not name or not equals:
            raise UserError(f"{text[:60]!r} is no parameter: write NAME=VALUE", exit_codes.USAGE)
        found[name] = value
    return found


def seconds(text: str | None) -> float | None:
    """Read a duration such as `90`, `45s`, `10m`, `2h` or `1d`. Raises `UserError`."""
    if text is None:
        return None
    match = _DURATION.fullmatch(text.strip())
    if match is None:
        raise UserError(f"{text[:60]!r} is no duration: write for example 45s, 10m, 2h or 1d", exit_codes.USAGE)
    return float(match[1]) * _UNITS[match[2]]


def moment(text: str | None) -> str | None:
    """Read a date with time, in local time where it says nothing else. Raises `UserError`."""
    if text is None:
        return None
    try:
        return datetime.fromisoformat(text.strip()).astimezone().isoformat()
    except (ValueError, OverflowError):
        raise UserError(
            f"{text[:60]!r} is no date: write for example 2026-11-21T20:40 or 2026-11-21T20:40:00Z", exit_codes.USAGE
        ) from None
