# SPDX-License-Identifier: Apache-2.0
"""Where scenarios come from: shipped ones by name, files by path, flags on top of either."""

from __future__ import annotations

import csv
import math
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from umslab.settings import SettingsError, load
from umslab_agent.fleet.scenario import MOST_DEVICES, Replay, Scenario

if TYPE_CHECKING:
    from collections.abc import Iterable

SHIPPED = Path(__file__).parent / "scenarios"
MAX_RECORDING_BYTES = 16 * 1024 * 1024


def shipped_names() -> list[str]:
    """The names of the scenarios that come with umslab."""
    return sorted(path.stem for path in SHIPPED.glob("*.toml"))


def scenario_file(what: str) -> Path | None:
    """Return the file of a scenario given by name or path; None for none. Raises `SettingsError`."""
    if not what:
        return None
    if "/" in what or what.endswith(".toml"):
        return Path(what)
    return _shipped(what)


def shipped_text(name: str) -> str:
    """The file of a shipped scenario. Raises `SettingsError` for any other name."""
    return _shipped(name).read_text(encoding="utf-8")


def _shipped(name: str) -> Path:
    if name not in shipped_names():
        known = ", ".join(shipped_names())
        raise SettingsError(f"there is no scenario {name[:60]!r}: one of {known}, or a file such as ./my.toml")
    return SHIPPED / f"{name}.toml"


def load_scenario(what: str, flags: Iterable[tuple[str, Any]]) -> Scenario:
    """Read a scenario, with what the command line says on top; recorded arrivals are read too. Raises `SettingsError`.

    `flags` are pairs of a dotted key and its value, as for `umslab.settings.load`.
    """
    file = scenario_file(what)
    scenario = load(Scenario, file=file, environment={}, flags=flags)
    if not isinstance(scenario.arrivals, Replay) or not scenario.arrivals.file:
        return scenario
    recording = Path(scenario.arrivals.file)
    if file is not None:
        recording = file.parent / recording
    seconds = read_recording(recording)
    try:
        return msgspec.structs.replace(scenario, arrivals=Replay(seconds=seconds))
    except ValueError as error:
        raise SettingsError(f"{recording}: {error}") from None


def read_recording(file: Path) -> tuple[float, ...]:
    """Read arrivals: the first column of a CSV file, seconds. Raises `SettingsError` with the line."""
    try:
        with file.open("rb") as stream:
            data = stream.read(MAX_RECORDING_BYTES + 1)
        text = data.decode("utf-8")
    except OSError as error:
        raise SettingsError(f"{file} cannot be read: {error.strerror}") from None
    except UnicodeDecodeError:
        raise SettingsError(f"{file} is not UTF-8 text") from None
    if len(data) > MAX_RECORDING_BYTES:
        raise SettingsError(f"{file} is larger than {MAX_RECORDING_BYTES // 1024 // 1024} MiB")
    found: list[float] = []
    try:
        for number, row in enumerate(csv.reader(text.splitlines()), 1):
            seconds = _seconds(row[0]) if row else None
            if seconds is not None:
                found.append(seconds)
            elif row and (number > 1 or _is_number(row[0])):
                raise SettingsError(f"{file}, line {number}: {row[0][:40]!r} is no number of seconds, from 0 on")
    except csv.Error as error:
        raise SettingsError(f"{file} is not CSV: {error}") from None
    if not found:
        raise SettingsError(f"{file} has no arrivals: one number of seconds a line")
    return tuple(sorted(found)[:MOST_DEVICES])


def _seconds(text: str) -> float | None:
    seconds = float(text) if _is_number(text) else math.nan
    return seconds if 0 <= seconds <= 30 * 86_400 else None


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True
