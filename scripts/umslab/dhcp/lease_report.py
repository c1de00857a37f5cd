# SPDX-License-Identifier: Apache-2.0
"""What came of leasing, in sentences and as JSON."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any

from umslab.dhcp.samples import Sample
from umslab.dhcp.telling import document, sentences
from umslab_agent.dhcp import WHY, describe
from umslab_protocol.machines.dhcp_events import State
from umslab_protocol.wire.igel_dhcp import Item, interpret
from umslab_runtime.dhcp_runner import Outcome

if TYPE_CHECKING:
    from collections.abc import Sequence

    from umslab.dhcp.leasing import Leased, LeasePlan
    from umslab_protocol.machines.dhcp_events import DhcpEvent
    from umslab_runtime.dhcp_runner import DhcpRunner, Seat

GOOD = {Outcome.LEASED, Outcome.INFORMED}
SHOWN_GROUPS = 10


def all_well(leased: Leased) -> bool:
    """Whether every client that was not stopped by the user got an address, and at least one did."""
    outcomes = {seat.outcome for seat in leased.seats}
    bad = outcomes - GOOD - ({Outcome.CANCELLED, None} if leased.stopped else set())
    return not bad and bool(leased.stopped or outcomes & GOOD)


def event_line(seat: Seat, event: DhcpEvent) -> str:
    """One line for what happened to one client."""
    _, text = describe(event)
    return f"{seat.mac.hex(':')}  {text}"


def progress_line(runner: DhcpRunner) -> str:
    """How far it is."""
    counted = ", ".join(f"{count} {outcome}" for outcome, count in sorted(runner.outcomes.items()))
    return f"{runner.outcomes.total()} of {len(runner.seats)}: {counted or 'no answer yet'}"


# For people.


def report(plan: LeasePlan, leased: Leased) -> list[str]:
    """What a person should know."""
    lines = _one(plan, leased.seats[0]) if len(leased.seats) == 1 else _many(plan, leased)
    if leased.released:
        lines.append(f"Gave {leased.released} address{'es' * (leased.released > 1)} back.")
    return lines


def _one(plan: LeasePlan, seat: Seat) -> list[str]:
    lines = [f"The client {seat.mac.hex(':')}: {WHY[seat.outcome or Outcome.CANCELLED]}."]
    lines += [f"  Refused by {refused.server}: {refused.text or 'without a word'}." for refused in seat.refusals]
    steps = _steps(seat)
    if steps:
        lines.append("  " + ", ".join(f"{name} after {took * 1000:.1f} ms" for name, took in steps.items()) + ".")
    sample = _sample(seat)
    if sample is not None:
        first, *rest = sentences(sample, interpret(sample.options, plan.firmware, plan.extra))
        lines += [first, *(f"  {text}" for text in rest)]
    lines += [f"  Ignored: {count} x {why}." for why, count in sorted(seat.client.ignored.items())]
    lines += [f"  Malformed: {count} x {why}." for why, count in sorted(seat.client.malformed.items())]
    return lines


def _many(plan: LeasePlan, leased: Leased) -> list[str]:
    counted = Counter(seat.outcome or Outcome.CANCELLED for seat in leased.seats)
    lines = [f"{count} of {len(leased.seats)} clients: {WHY[outcome]}." for outcome, count in counted.most_common()]
    good = [seat for seat in leased.seats if seat.outcome in GOOD]
    if good and leased.took > 0:
        lines.append(f"In {leased.took:.2f} s: {len(good) / leased.took:.0f} a second.")
    for name, values in _step_values(leased.seats).items():
        low, middle, high = _spread(values)
        lines.append(
            f"  {name}: median {middle * 1000:.1f} ms, 99 % below {high * 1000:.1f} ms, least {low * 1000:.1f} ms."
        )
    samples = [sample for sample in map(_sample, good) if sample is not None]
    groups = Counter(_view(plan, sample) for sample in samples)
    for (server, tag), count in groups.most_common(SHOWN_GROUPS):
        lines.append(f"{count} take {server or 'no server'} as their UMS{f', tag {tag}' if tag else ''}.")
    refusals = Counter(refused.text for seat in leased.seats for refused in seat.refusals)
    lines += [
        f"Refused {count} times: {text or 'without a word'}." for text, count in refusals.most_common(SHOWN_GROUPS)
    ]
    return lines


def _view(plan: LeasePlan, sample: Sample) -> tuple[str | None, str | None]:
    view = interpret(sample.options, plan.firmware, plan.extra)
    return view.value(Item.SERVER), view.value(Item.TAG)


def _sample(seat: Seat) -> Sample | None:
    """What the client was given."""
    lease, informed = seat.lease, seat.informed
    if lease is not None:
        title = f"the lease of {lease.address} from {lease.server} for {lease.seconds:g} s"
        return Sample(title, lease.options)
    if informed is not None:
        return Sample(f"the options for {seat.static} from {informed.server}", informed.options)
    return None


def _steps(seat: Seat) -> dict[str, float]:
    """How long each step took, as far as it was taken."""
    ways = {
        "offered": (State.SELECTING, State.REQUESTING),
        "acknowledged": (State.REQUESTING, State.BOUND),
        "confirmed": (State.REBOOTING, State.BOUND),
        "informed": (State.INFORMING, State.STOPPED),
    }
    found = {name: seat.seconds(first, last) for name, (first, last) in ways.items()}
    if found["offered"] is not None:
        found["confirmed"] = None
    if seat.informed is None:
        found["informed"] = None
    return {name: took for name, took in found.items() if took is not None}


def _step_values(seats: Sequence[Seat]) -> dict[str, list[float]]:
    values: dict[str, list[float]] = {}
    for seat in seats:
        for name, took in _steps(seat).items():
            values.setdefault(name, []).append(took)
    return values


def _spread(values: list[float]) -> tuple[float, float, float]:
    """Least, median, 99th percentile."""
    ordered = sorted(values)
    return ordered[0], ordered[len(ordered) // 2], ordered[min(len(ordered) - 1, len(ordered) * 99 // 100)]


# For machines.


def lease_document(plan: LeasePlan, leased: Leased) -> dict[str, Any]:
    """The same."""
    return {
        "clients": [_client(plan, seat) for seat in leased.seats],
        "outcomes": dict(Counter(str(seat.outcome or Outcome.CANCELLED) for seat in leased.seats)),
        "seconds": round(leased.took, 6),
        "released": leased.released,
        "strangers": leased.strangers,
        "unsent": leased.unsent,
        "stopped": leased.stopped,
    }


def _client(plan: LeasePlan, seat: Seat) -> dict[str, Any]:
    lease, informed, sample = seat.lease, seat.informed, _sample(seat)
    told = None
    if sample is not None:
        told = document(sample, interpret(sample.options, plan.firmware, plan.extra))
    address, server = (
        (lease.address, lease.server) if lease is not None else (seat.static, informed and informed.server)
    )
    return {
        "mac": seat.mac.hex(":"),
        "outcome": str(seat.outcome or Outcome.CANCELLED),
        "address": None if address is None else str(address),
        "dhcpServer": None if server is None else str(server),
        "leaseSeconds": None if lease is None or lease.seconds == float("inf") else lease.seconds,
        "steps": {name: round(took, 6) for name, took in _steps(seat).items()},
        "refusals": [{"server": str(refused.server), "text": refused.text} for refused in seat.refusals],
        "ignored": {str(why): count for why, count in seat.client.ignored.items()},
        "malformed": {str(why): count for why, count in seat.client.malformed.items()},
        "igel": told,
    }
