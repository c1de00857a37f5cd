# SPDX-License-Identifier: Apache-2.0
"""`umslab ctl rules`: default directory rules."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from umslab import exit_codes
from umslab.cli.ctl.asking import call
from umslab.cli.output import SETTINGS, JsonOption, StateOption, UserError, print_json, print_pairs, print_table

app = typer.Typer(no_args_is_help=True, help="Default directory rules: where new devices go.", **SETTINGS)

RuleNumber = Annotated[int, typer.Argument(metavar="ID", help="Number of the rule, as `rules list` shows it.")]
Tag = Annotated[str | None, typer.Option("--tag", metavar="TEXT", help="Structure tag; * and ? stand for anything.")]
IpRange = Annotated[str | None, typer.Option("--ip", metavar="RANGE", help="10.1.0.0/16 or 10.1.0.1-10.1.0.99.")]
User = Annotated[str | None, typer.Option("--user", metavar="TEXT", help="Who onboarded it: mail address or its name.")]
Role = Annotated[str | None, typer.Option("--role", metavar="TEXT", help="The role of that user.")]
Domain = Annotated[str | None, typer.Option("--mail-domain", metavar="TEXT", help="The domain of that user.")]
App = Annotated[str | None, typer.Option("--app", metavar="TEXT", help="Name of an installed app.")]
Firmware = Annotated[str | None, typer.Option("--firmware", metavar="TEXT", help="For example 12.8.*")]
Override = Annotated[bool | None, typer.Option(help="Also move a device that is not in the root.")]
Leave = Annotated[bool | None, typer.Option(help="A device that is somewhere below the target stays.")]
AtBoot = Annotated[bool | None, typer.Option(help="Also look at it when a device boots; costs time.")]


@app.command("list")
def list_rules(*, state: StateOption = None, as_json: JsonOption = False) -> None:
    """List rules from top to bottom; those that refine another stand below it."""
    rules = call(state, "rules.list")
    if as_json:
        print_json("rules", rules)
        return
    print_table(
        ("id", "rule", "when", "goes to", "options"),
        (
            (
                one["id"], "  " * one["depth"] + one["name"], _criteria(one["criteria"]), one["directory"] or "nowhere",
                ", ".join(name.replace("_", " ") for name in ("override", "leave_in_subdirectory", "at_boot")
                          if one[name]),
            )
            for one in rules
        ),
        empty="no rules; make one with `umslab ctl rules create`",
    )  # fmt: skip


@app.command("create")
def create_rule(
    name: Annotated[str, typer.Argument(metavar="NAME", help="A name for people.")],
    *,
    directory: Annotated[
        str | None, typer.Option("--dir", metavar="PATH", help="Where devices go; without: nowhere.")
    ] = None,
    parent: Annotated[int | None, typer.Option(metavar="ID", help="The rule it refines.")] = None,
    position: Annotated[int | None, typer.Option(min=1, help="From 1; default: last.")] = None,
    tag: Tag = None,
    ip_range: IpRange = None,
    user: User = None,
    role: Role = None,
    mail_domain: Domain = None,
    installed: App = None,
    firmware: Firmware = None,
    override: Override = False,
    leave_in_subdirectory: Leave = False,
    at_boot: AtBoot = False,
    state: StateOption = None,
) -> None:
    """Make a rule. Example: `rules create "Hall 1" --tag hall-1 --dir /Bremen/Hall1`."""
    made = call(
        state, "rules.create", name=name, directory=directory, parent=parent, position=position,
        criteria=_chosen(tag, ip_range, user, role, mail_domain, installed, firmware), override=bool(override),
        leave_in_subdirectory=bool(leave_in_subdirectory), at_boot=bool(at_boot),
    )  # fmt: skip
    print(f"rule {made['id']} created")


@app.command("edit")
def edit_rule(
    number: RuleNumber,
    *,
    name: Annotated[str | None, typer.Option(help="Another name.")] = None,
    directory: Annotated[str | None, typer.Option("--dir", metavar="PATH", help="Another target.")] = None,
    nowhere: Annotated[bool, typer.Option("--nowhere", help="No target any more.")] = False,
    tag: Tag = None,
    ip_range: IpRange = None,
    user: User = None,
    role: Role = None,
    mail_domain: Domain = None,
    installed: App = None,
    firmware: Firmware = None,
    override: Override = None,
    leave_in_subdirectory: Leave = None,
    at_boot: AtBoot = None,
    state: StateOption = None,
) -> None:
    """Change a rule; criteria, when any is named, replace all it had. Example: `rules edit 3 --at-boot`."""
    if nowhere and directory is not None:
        raise UserError("--nowhere and --dir exclude each other", exit_codes.USAGE)
    options = {"override": override, "leave_in_subdirectory": leave_in_subdirectory, "at_boot": at_boot}
    changes: dict[str, Any] = {key: value for key, value in options.items() if value is not None}
    if name is not None:
        changes["name"] = name
    if nowhere or directory is not None:
        changes["directory"] = directory
    if criteria := _chosen(tag, ip_range, user, role, mail_domain, installed, firmware):
        changes["criteria"] = criteria
    call(state, "rules.edit", id=number, changes=changes)


@app.command("move")
def move_rule(
    number: RuleNumber,
    position: Annotated[int, typer.Argument(min=1, metavar="POSITION", help="From 1, among its neighbours.")],
    *,
    state: StateOption = None,
) -> None:
    """Put a rule at another position; the first that fits decides."""
    call(state, "rules.move", id=number, position=position)


@app.command("delete")
def delete_rule(number: RuleNumber, *, state: StateOption = None) -> None:
    """Delete a rule and those that refine it; devices stay where they are."""
    call(state, "rules.delete", id=number)


@app.command("test")
def explain_rules(
    unit_id: Annotated[str, typer.Argument(metavar="UNIT_ID", help="Unit ID of a device.")],
    *,
    state: StateOption = None,
    as_json: JsonOption = False,
) -> None:
    """Tell where a device would go if it registered now, and why."""
    result = call(state, "rules.test", unit_id=unit_id)
    if as_json:
        print_json("test", result)
        return
    print_table(
        ("id", "rule", "fits", "why not"),
        (
            (one["id"], "  " * one["depth"] + one["name"], one["fits"], "; ".join(one["why_not"]))
            for one in result["looks"]
        ),
        empty="no rules",
    )
    goes = f"moves to {result['target']}" if result["target"] else "stays"
    print_pairs([("directory", result["directory"]), ("device", goes), ("because", result["because"])])


def _chosen(*values: str | None) -> dict[str, str]:
    names = ("structure_tag", "ip_range", "user", "role", "mail_domain", "app", "firmware")
    return {name: value for name, value in zip(names, values, strict=True) if value is not None}


def _criteria(criteria: dict[str, str | None]) -> str:
    return ", ".join(f"{name.replace('_', ' ')} {value}" for name, value in criteria.items() if value) or "always"
