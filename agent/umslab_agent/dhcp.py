# SPDX-License-Identifier: Apache-2.0
"""A device's DHCP client: asked anew at each boot, kept and renewed while the device lives, given back at its end.

Provenance: standard (RFC 2131) with the options of IGEL OS (D2-D7, D10). Ours: that a reboot and a suspension keep the
lease, so that the next boot asks for the same address (RFC 2131 section 3.2), while a shutdown and a reset give it
back; that an address of the Setup Assistant is followed by an INFORM (RFC 2131 section 3.4) for the options.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from umslab_agent.dhcp_source import Heard
from umslab_agent.happenings import Kind
from umslab_protocol.machines.dhcp_events import Bound, Informed, Lost, Refused, Renewed, Unanswered
from umslab_protocol.machines.dhcp_requests import igel_identity
from umslab_protocol.values.unit_id import MacAddress
from umslab_protocol.wire.igel_dhcp import ExtraCodes
from umslab_runtime.dhcp_runner import PATIENCE_SECONDS, Outcome
from umslab_runtime.policy import TargetRefusedError
from umslab_runtime.udp import DatagramError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from ipaddress import IPv4Address

    from umslab_agent.unit import Unit
    from umslab_protocol.machines.dhcp_events import DhcpEvent, Timing
    from umslab_protocol.machines.dhcp_requests import Relay
    from umslab_protocol.wire.dhcp_options import Option
    from umslab_runtime.dhcp_runner import DhcpRunner, Seat

WHY = {
    Outcome.LEASED: "leased",
    Outcome.INFORMED: "got options",
    Outcome.NOBODY_OFFERED: "nobody offered an address (no server, no free address, or a filter between)",
    Outcome.NOT_ACKNOWLEDGED: "an address was offered, but nobody acknowledged the request for it",
    Outcome.NOT_INFORMED: "nobody answered the request for options",
    Outcome.REFUSED: "refused by the server (NAK)",
    Outcome.CANCELLED: "stopped before there was an answer",
}
"""How asking went, for people."""


@dataclass(frozen=True, kw_only=True)
class Addressing:
    """How a device gets its address and options."""

    relay: Relay | None = None
    static: IPv4Address | None = None
    """It has this address (Setup Assistant) and asks for options only."""
    fallback: IPv4Address | None = None
    """It takes this one when nobody gives it an address, as somebody would type it into the Setup Assistant then."""
    extra: ExtraCodes = field(default_factory=ExtraCodes)
    patience: float = PATIENCE_SECONDS
    """Seconds."""
    timing: Timing | None = None


class DeviceDhcp:
    """The DHCP client of one device, with a seat in a runner that many can share."""

    def __init__(
        self,
        runner: DhcpRunner,
        addressing: Addressing,
        *,
        on_options: Callable[[Sequence[Option]], None] = lambda _: None,
    ) -> None:
        """`on_options` hears what each lease and each renewal brings."""
        self._runner = runner
        self._addressing = addressing
        self._on_options = on_options
        self._seat: Seat | None = None
        self._previous: IPv4Address | None = None
        self._heard: Heard | str = "DHCP has not been asked yet"

    def heard(self) -> Heard | str:
        """The options that count now, or why there are none."""
        return self._heard

    async def ensure(self, unit: Unit) -> None:
        """Ask, unless the device has an address; what came of it is told, and `heard` knows it."""
        seat = self._seat
        if seat is not None and (seat.client.lease is not None or seat.static is not None):
            return
        self._drop(release=False)
        try:
            await self._ask(unit)
        except (DatagramError, TargetRefusedError, ValueError) as error:
            self._heard = f"DHCP cannot be asked: {error}"
            unit.tell(Kind.DHCP, self._heard, reason="failed")

    def leave(self, unit: Unit, *, release: bool) -> None:
        """The device goes down: give the address back, or keep it in mind for the next boot."""
        lease = None if self._seat is None else self._seat.client.lease
        if self._drop(release=release) and release and lease is not None:
            self._previous = None
            unit.tell(Kind.DHCP, f"gives {lease.address} back", reason="released", address=str(lease.address))

    def _drop(self, *, release: bool) -> bool:
        seat, self._seat = self._seat, None
        self._heard = "DHCP has not been asked since the device went down"
        return seat is not None and self._runner.drop(seat, release=release)

    async def _ask(self, unit: Unit) -> None:
        how = self._addressing
        codes = tuple(code for code in (how.extra.port, how.extra.auth_key, how.extra.ca_hash) if code is not None)
        mac = MacAddress(unit.persona.mac)
        identity = igel_identity(mac, unit.firmware, extra_codes=codes, relay=how.relay)
        seat = self._runner.add(identity, how.timing, on_event=lambda _, event: self._note(unit, event))
        self._seat = seat
        if how.static is not None:
            await self._inform(unit, seat, how.static, "by static addressing")
            return
        await self._runner.lease([seat], patience=how.patience, previous=self._previous)
        if seat.outcome is Outcome.LEASED:
            return
        self._give_up(unit, seat)
        if how.fallback is not None:
            await self._inform(unit, seat, how.fallback, "by static addressing, because DHCP gave none")

    async def _inform(self, unit: Unit, seat: Seat, address: IPv4Address, why: str) -> None:
        unit.tell(Kind.DHCP, f"has {address} {why}", reason="static", address=str(address))
        await self._runner.inform({seat: address}, patience=self._addressing.patience)
        if seat.outcome is not Outcome.INFORMED:
            self._give_up(unit, seat)

    def _give_up(self, unit: Unit, seat: Seat) -> None:
        outcome = seat.outcome or Outcome.CANCELLED
        self._heard = WHY[outcome]
        unit.tell(Kind.DHCP, self._heard, reason=outcome)

    def _note(self, unit: Unit, event: DhcpEvent) -> None:
        """Tell what happened to the client, and keep what it brought."""
        match event:
            case Bound(lease) | Renewed(lease):
                self._previous = lease.address
                self._hear(unit, lease.options)
            case Informed():
                self._hear(unit, event.options)
            case Lost(lease, by):
                self._heard = f"{lease.address} was lost: {by}"
        reason, text = describe(event)
        unit.tell(Kind.DHCP, text, reason=reason, **_data(event))

    def _hear(self, unit: Unit, options: tuple[Option, ...]) -> None:
        self._heard = Heard(options, unit.firmware)
        self._on_options(options)


def describe(event: DhcpEvent) -> tuple[str, str]:
    """One word and one sentence about an event, without who it happened to."""
    match event:
        case Bound(lease):
            return "leased", f"has {lease.address} from {lease.server} for {lease.seconds:g} s"
        case Renewed(lease):
            return "renewed", f"may keep {lease.address} for {lease.seconds:g} s"
        case Refused(server, text):
            return "refused", f"was refused by {server}{f': {text}' if text else ''}"
        case Lost(lease, by):
            return "lost", f"has lost {lease.address}: {by}"
        case Unanswered(state, attempts):
            return "unanswered", f"got no answer while {state}, after {attempts} tries"
        case Informed(server, _):
            return "informed", f"got options from {server}"


def _data(event: DhcpEvent) -> dict[str, str | int]:
    match event:
        case Bound(lease) | Renewed(lease):
            ends = {} if lease.seconds == float("inf") else {"seconds": int(lease.seconds)}
            return {"address": str(lease.address), "server": str(lease.server), **ends}
        case Lost(lease, by):
            return {"address": str(lease.address), "by": by}
        case Refused(server) | Informed(server):
            return {"server": str(server)}
        case Unanswered(state):
            return {"state": state}
