# SPDX-License-Identifier: Apache-2.0
"""`umslab ctl approve`: first enrolments that wait for a person, where `enrolment.approval` is `manual`."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from umslab import exit_codes
from umslab.cli.ctl.asking import call
from umslab.cli.output import JsonOption, StateOption, UserError, print_json, print_table

Words = Annotated[
    list[str] | None,
    typer.Argument(metavar="UNIT_ID", help="Unit IDs; or `list`; or `reject` and unit IDs."),
]


def approve(
    words: Words = None,
    *,
    everybody: Annotated[bool, typer.Option("--all", help="Approve everybody who waits now.")] = False,
    state: StateOption = None,
    as_json: JsonOption = False,
) -> None:
    """Let devices enrol that wait for approval, list who asked, or reject some.

    A device enrols with its next request after the approval, a rejected one is refused as long as it asks with the
    same key.
    """
    verb, unit_ids = _understand(words or [], everybody=everybody)
    if verb == "list":
        _print(call(state, "approval.list"), as_json=as_json)
    elif verb == "all":
        _report(call(state, "approval.approve-all"), "approved", as_json=as_json)
    elif verb == "reject":
        _report(call(state, "approval.reject", unit_ids=unit_ids), "rejected", as_json=as_json)
    else:
        _report(call(state, "approval.approve", unit_ids=unit_ids), "approved", as_json=as_json)


def _understand(words: list[str], *, everybody: bool) -> tuple[str, list[str]]:
    if everybody:
        if words:
            raise UserError("--all stands alone: name devices, or take all that wait", exit_codes.USAGE)
        return "all", []
    if words == ["list"]:
        return "list", []
    if words[:1] == ["reject"] and len(words) > 1:
        return "reject", words[1:]
    if not words or words[0] in {"list", "reject"}:
        usage = "umslab ctl approve UNIT_ID..., umslab ctl approve --all, umslab ctl approve reject UNIT_ID..."
        raise UserError(f"which devices? {usage}; `umslab ctl approve list` tells who asked", exit_codes.USAGE)
    return "approve", words


def _print(rows: list[dict[str, Any]], *, as_json: bool) -> None:
    if as_json:
        print_json("approvals", rows)
        return
    print_table(
        ("unit ID", "state", "asked", "decided", "from", "public key"),
        (
            (one["unit_id"], one["state"], one["asked_at"], one["decided_at"], one["source"], one["public_key"][:16])
            for one in rows
        ),
        empty="nobody waits for approval",
    )


def _report(count: int, word: str, *, as_json: bool) -> None:
    if as_json:
        print_json(word, count)
    else:
        print(f"{count} device{'' if count == 1 else 's'} {word}")
