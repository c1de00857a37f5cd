# SPDX-License-Identifier: Apache-2.0
"""`umslab fleet scenarios`."""

from __future__ import annotations

from typing import Annotated

import typer

from umslab.cli.output import JsonOption, print_json, print_table
from umslab.fleet.loading import load_scenario, shipped_names, shipped_text


def scenarios(
    name: Annotated[str, typer.Argument(metavar="[NAME]", help="Print the file of this one, to start one's own.")] = "",
    *,
    as_json: JsonOption = False,
) -> None:
    """List the scenarios that come with umslab, or print one."""
    if name:
        print(shipped_text(name), end="")
        return
    found = [load_scenario(one, []) for one in shipped_names()]
    if as_json:
        print_json("scenarios", [{"name": one.name, "devices": one.devices, "about": one.about} for one in found])
    else:
        rows = ((one.name, one.devices, one.about) for one in found)
        print_table(("name", "devices", "what happens"), rows, empty="none are shipped")
