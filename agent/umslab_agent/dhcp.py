# SPDX-License-Identifier: Apache-2.0
"""A device asks DHCP for its UMS (D2-D7), by lease or for options only, and sees what its firmware makes of it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from umslab_protocol.machines.dhcp_requests import igel_identity
from umslab_protocol.wire.igel_dhcp import ExtraCodes, interpret
from umslab_runtime.dhcp_runner import PATIENCE_SECONDS, Outcome, Seat, open_runner

if TYPE_CHECKING:
    from collections.abc import Callable
    from ipaddress import IPv4Address

    from umslab_protocol.machines.dhcp_events import Timing
    from umslab_protocol.machines.dhcp_lease import Lease
    from umslab_protocol.machines.dhcp_requests import Relay
    from umslab_protocol.values.firmware import FirmwareVersion
    from umslab_protocol.values.unit_id import MacAddress
    from umslab_protocol.wire.dhcp_options import Option
    from umslab_protocol.wire.igel_dhcp import IgelView
    from umslab_runtime.clock import Clock
    from umslab_runtime.dhcp_door import DhcpDoor


@dataclass(frozen=True, kw_only=True)
class DhcpQuestion:
    """Who asks, and how."""

    mac: MacAddress
    firmware: FirmwareVersion
    host_name: str = ""
    extra: ExtraCodes | None = None
    relay: Relay | None = None
    previous: IPv4Address | None = None
    """The address it had before it was switched off."""
    static: IPv4Address | None = None
    """It has an address (Setup Assistant) and asks for options only."""
    patience: float = PATIENCE_SECONDS
    timing: Timing | None = None


@dataclass(frozen=True, kw_only=True)
class DhcpAnswer:
    """What came of it: `view` is None when nobody gave options; `outcome` says why."""

    outcome: Outcome
    lease: Lease | None
    options: tuple[Option, ...]
    view: IgelView | None
    refusals: tuple[str, ...]


async def ask_dhcp(
    door: DhcpDoor, clock: Clock, question: DhcpQuestion, *, chance: Callable[[], float], keep: bool = False
) -> DhcpAnswer:
    """Ask; the door is closed at the end, and the address given back unless it is to be kept until it expires.

    Raises `umslab_runtime.udp.DatagramError` and `umslab_runtime.policy.TargetRefusedError`.
    """
    extra = question.extra or ExtraCodes()
    codes = tuple(code for code in (extra.port, extra.auth_key, extra.ca_hash) if code is not None)
    identity = igel_identity(
        question.mac, question.firmware, host_name=question.host_name, extra_codes=codes, relay=question.relay
    )
    async with open_runner(door, clock, chance=chance) as runner:
        seat = runner.add(identity, question.timing)
        if question.static is not None:
            await runner.inform(seat, question.static, patience=question.patience)
        else:
            await runner.lease([seat], patience=question.patience, previous=question.previous)
        answer = _answer(seat, question, extra)
        if not keep:
            await runner.release()
    return answer


def _answer(seat: Seat, question: DhcpQuestion, extra: ExtraCodes) -> DhcpAnswer:
    given = seat.lease or seat.informed
    options = () if given is None else given.options
    return DhcpAnswer(
        outcome=seat.outcome or Outcome.CANCELLED,
        lease=seat.lease,
        options=options,
        view=None if given is None else interpret(options, question.firmware, extra),
        refusals=tuple(refused.text for refused in seat.refusals),
    )
