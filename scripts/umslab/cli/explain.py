# SPDX-License-Identifier: Apache-2.0
"""Explain the ports of the IGEL world, an onboarding error code, or a fact number of this project.

Examples:
    umslab explain ports --os 11,12
    umslab explain ports --os 12 --json
    umslab explain 38
    umslab explain D5
"""

from __future__ import annotations

from difflib import get_close_matches
from typing import Annotated, Any

import typer

from umslab import exit_codes
from umslab.cli.output import SETTINGS, JsonOption, UserError, help_text, print_json, print_pairs, print_table
from umslab.explain_codes import CodeExplanation, explain_code
from umslab.explain_ports import parse_generations, ports_for
from umslab.facts import Fact, FactsMissingError, load_facts
from umslab_protocol.values.failure import VENDOR_CODES

app = typer.Typer(**SETTINGS)


@app.command(help=help_text(__doc__))
def explain(
    what: Annotated[str, typer.Argument(metavar="WHAT", help="ports, an error code such as 38, a fact such as E5.")],
    *,
    os: Annotated[str, typer.Option("--os", metavar="11,12", help="Which IGEL OS, for ports.")] = "11,12",
    as_json: JsonOption = False,
) -> None:
    """Look up and print."""
    generations = parse_generations(os)
    try:
        facts = load_facts()
    except FactsMissingError as error:
        raise UserError(str(error)) from None
    name = what.strip()
    if name.lower() == "ports":
        _print_ports(generations, facts, as_json=as_json)
    elif name.isascii() and name.isdecimal() and len(name) < 6 and (found := explain_code(int(name), facts)):
        _print_code(found, as_json=as_json)
    elif fact := facts.get(name.upper()):
        _print_fact(fact, as_json=as_json)
    else:
        raise UserError(_unknown(name, facts), exit_codes.USAGE)


def _unknown(name: str, facts: dict[str, Fact]) -> str:
    codes = ", ".join(map(str, VENDOR_CODES))
    if name.isdecimal():
        return f"{name[:20]} is not one of the vendor's onboarding error codes: {codes}"
    near = get_close_matches(name.upper()[:20], [*facts, "PORTS"], n=3)
    hint = f"did you mean {', '.join('ports' if one == 'PORTS' else one for one in near)}? " if near else ""
    return (
        f"nothing is known about {name[:40]!r}: {hint}"
        f"it can be `ports`, an error code ({codes}), or a fact number of docs/facts.md, {min(facts)} to {max(facts)}"
    )


def _print_ports(generations: tuple[int, ...], facts: dict[str, Fact], *, as_json: bool) -> None:
    rows = ports_for(generations)
    if as_json:
        print_json("ports", [_port_document(row, facts) for row in rows])
        return
    print_table(
        ("port", "protocol", "from", "to", "for", "use", "fact", "source"),
        [
            (row.port, row.protocol, row.source, row.destination, _whom(row.generations), row.use, row.fact, source)
            for row in rows
            for source in (facts[row.fact].source,)
        ],
        empty="no ports",
    )
    print("More about a row: umslab explain P1. Not affiliated with IGEL.")


def _whom(generations: tuple[int, ...]) -> str:
    return "OS " + ", ".join(map(str, generations)) if generations else "servers"


def _port_document(row: Any, facts: dict[str, Fact]) -> dict[str, Any]:
    fact = facts[row.fact]
    return {
        "port": row.port,
        "protocol": row.protocol,
        "from": row.source,
        "to": row.destination,
        "os": list(row.generations),
        "use": row.use,
        "fact": row.fact,
        "source": fact.source,
        "confidence": fact.confidence,
    }


def _print_code(found: CodeExplanation, *, as_json: bool) -> None:
    reasons = [
        {"phase": phase, "reason": reason or "any other", "confidence": confidence}
        for phase, reason, confidence in found.reasons
    ]
    if as_json:
        facts = [_fact_document(fact) for fact in found.facts]
        print_json("code", {"code": found.code, "meaning": found.meaning, "reasons": reasons, "facts": facts})
        return
    print(f"IGEL OS shows {found.code} when {found.meaning}. It is one of the vendor's codes (guide).")
    if reasons:
        print("\numslab shows it for these failures; how sure that is stands behind:")
        for row in reasons:
            print(f"  {row['phase']}: {row['reason']} ({row['confidence']})")
    else:
        print("\numslab has no failure for which it would show this code.")
    for fact in found.facts:
        print(f"\n{fact.number}: {fact.text} ({fact.source})")
    print("\nHints for each reason: docs/device.md")


def _print_fact(fact: Fact, *, as_json: bool) -> None:
    if as_json:
        print_json("fact", _fact_document(fact))
        return
    print_pairs(
        [
            ("fact", fact.number),
            ("says", fact.text),
            ("source", fact.source),
            ("confidence", fact.confidence),
            ("section", f"{fact.section} (docs/facts.md)"),
        ]
    )


def _fact_document(fact: Fact) -> dict[str, Any]:
    return {
        "number": fact.number,
        "text": fact.text,
        "source": fact.source,
        "confidence": fact.confidence,
        "section": fact.section,
    }
