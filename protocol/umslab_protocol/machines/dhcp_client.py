# SPDX-License-Identifier: Apache-2.0
"""A DHCP client as a conversation machine: lease an address, keep it, give it back; or ask for options only.

Provenance: standard (RFC 2131 section 4.4), with the options of IGEL OS (dhcp_requests.py).

    start(), inform(), release(), decline(), stop()   what the user wants
    receive(data, now)                                one datagram in; never raises
    next_event()                                      Bound, Renewed, Informed, Unanswered, Refused, Lost, or None
    output()                                          datagrams out, to be sent after each of these calls
    deadline() / on_deadline(now)                     when to wake it, and what to call then

Time is an argument; chance is a callable that returns a number in [0, 1): transaction ids and jitter come from it. What
is not for this client, or came from a server it did not choose, is counted in `ignored`; what cannot be read, in
`malformed`, by reason.
"""

from __future__ import annotations

import math
from collections import Counter, deque
from typing import TYPE_CHECKING

from umslab_protocol.errors import LocalProtocolError
from umslab_protocol.machines.dhcp_events import (
    Bound,
    DhcpEvent,
    Ignored,
    Informed,
    Lost,
    LostBy,
    Refused,
    Renewed,
    State,
    Timing,
    Unanswered,
)
from umslab_protocol.machines.dhcp_lease import Lease, offered_address, read_lease, server_of
from umslab_protocol.machines.dhcp_requests import ClientIdentity, Datagram, Request, make_datagram
from umslab_protocol.wire.dhcp import DhcpMessage, MessageType, Op, read_message
from umslab_protocol.wire.dhcp_options import Code, DhcpProblem, MalformedDhcpError, read_text

if TYPE_CHECKING:
    from collections.abc import Callable
    from ipaddress import IPv4Address

MAX_TEXT = 255
_ASKING = {State.SELECTING, State.REQUESTING, State.REBOOTING, State.INFORMING}
_HOLDING = {State.BOUND, State.RENEWING, State.REBINDING}
_EXPECTED: dict[State, set[MessageType]] = {
    State.SELECTING: {MessageType.OFFER},
    State.REQUESTING: {MessageType.ACK, MessageType.NAK},
    State.REBOOTING: {MessageType.ACK, MessageType.NAK},
    State.RENEWING: {MessageType.ACK, MessageType.NAK},
    State.REBINDING: {MessageType.ACK, MessageType.NAK},
    State.INFORMING: {MessageType.ACK},
}


class DhcpClient:
    """See the module's docstring."""

    def __init__(self, identity: ClientIdentity, *, chance: Callable[[], float], timing: Timing | None = None) -> None:
        self.state = State.STOPPED
        self.lease: Lease | None = None
        self.ignored: Counter[Ignored] = Counter()
        self.malformed: Counter[DhcpProblem] = Counter()
        self._identity = identity
        self._chance = chance
        self._timing = timing or Timing()
        self._events: deque[DhcpEvent] = deque()
        self._output: deque[Datagram] = deque()
        self._xid = 0
        self._began = 0.0
        self._elapsed = 0.0
        self._asked_at = 0.0
        self._attempt = 0
        self._timer: float | None = None
        self._request = Request(kind=MessageType.DISCOVER)
        self._chosen: IPv4Address | None = None
        """The only server whose answers count now."""
        self._refusals = 0
        """In a row."""

    # What users want.

    def start(self, now: float, previous: IPv4Address | None = None) -> None:
        """Lease an address; with `previous`, first ask whether that one still counts (RFC 2131 section 3.2)."""
        self._must_be(State.STOPPED)
        if previous is None:
            self._discover(now)
        else:
            self._ask(State.REBOOTING, Request(kind=MessageType.REQUEST, wanted=previous), now)

    def inform(self, address: IPv4Address, now: float) -> None:
        """Ask for options only, for a host that has an address (RFC 2131 section 3.4)."""
        self._must_be(State.STOPPED)
        self._ask(State.INFORMING, Request(kind=MessageType.INFORM, ciaddr=address), now)

    def release(self, now: float, text: str = "") -> None:
        """Give the address back and stop; without an address, only stop."""
        lease = self.lease
        self.stop()
        if lease is not None:
            self._new_transaction(now)
            self._send(
                Request(
                    kind=MessageType.RELEASE,
                    ciaddr=lease.address,
                    server=lease.server,
                    unicast_to=lease.server,
                    text=text[:MAX_TEXT],
                )
            )

    def decline(self, now: float) -> None:
        """Say that somebody else uses the address, and begin anew after a while (RFC 2131 section 3.1 point 5)."""
        lease = self._held()
        self._must_be(State.BOUND)
        self._new_transaction(now)
        self._send(Request(kind=MessageType.DECLINE, server=lease.server, wanted=lease.address))
        self._rest(self._timing.decline_wait, now)

    def stop(self) -> None:
        """Forget everything, send nothing: the server will think the address is used until it expires."""
        self.state, self.lease, self._timer = State.STOPPED, None, None

    # What the pump calls.

    def receive(self, data: bytes, now: float) -> None:
        """Take one datagram; never raises."""
        try:
            message = read_message(data)
            kind = message.kind
            why = self._why_ignored(message, kind)
            if why is None:
                self._take(message, kind, now)
            else:
                self.ignored[why] += 1
        except MalformedDhcpError as error:
            self.malformed[error.problem] += 1

    def next_event(self) -> DhcpEvent | None:
        """Return the next thing that happened."""
        return self._events.popleft() if self._events else None

    def output(self) -> list[Datagram]:
        """Return the datagrams to send."""
        sent = list(self._output)
        self._output.clear()
        return sent

    def deadline(self) -> float | None:
        """When to call `on_deadline`; None for never."""
        if self.lease is None:
            return self._timer
        stage = {
            State.BOUND: self.lease.renew_at,
            State.RENEWING: self.lease.rebind_at,
            State.REBINDING: self.lease.expires_at,
        }.get(self.state)
        times = [time for time in (self._timer, stage) if time is not None and not math.isinf(time)]
        return min(times, default=None)

    def on_deadline(self, now: float) -> None:
        """Ask again, go to the next stage of a lease, or begin anew."""
        deadline = self.deadline()
        if deadline is None or now < deadline:
            return
        if self.state is State.WAITING:
            self._discover(now)
        elif self.state in _HOLDING:
            self._age(now)
        elif self._attempt < self._most_attempts():
            self._repeat(now)
        else:
            self._give_up(now)

    # Inside: receiving.

    def _why_ignored(self, message: DhcpMessage, kind: MessageType) -> Ignored | None:
        if message.op is not Op.REPLY:
            return Ignored.NOT_A_REPLY
        if message.chaddr != self._identity.mac:
            return Ignored.WRONG_CLIENT
        if message.xid != self._xid:
            return Ignored.WRONG_XID
        if self.state is not State.STOPPED and self._chosen not in {None, server_of(message)}:
            return Ignored.SECOND_SERVER
        if kind not in _EXPECTED.get(self.state, set()):
            return Ignored.UNEXPECTED
        return None

    def _take(self, message: DhcpMessage, kind: MessageType, now: float) -> None:
        """Act on a message that this state expects; raises `MalformedDhcpError` before anything has changed."""
        server = server_of(message)
        if kind is MessageType.OFFER:
            wanted = offered_address(message)
            self._chosen = server
            request = Request(kind=MessageType.REQUEST, wanted=wanted, server=server)
            self._ask(State.REQUESTING, request, now, same_transaction=True)
        elif kind is MessageType.NAK:
            self._be_refused(server, message, now)
        elif self.state is State.INFORMING:
            self.stop()
            self._events.append(Informed(server, message.options))
        else:
            lease = read_lease(message, asked_at=self._asked_at, chance=self._chance())
            self._events.append(Renewed(lease) if self.state in _HOLDING else Bound(lease))
            self.state, self.lease, self._timer = State.BOUND, lease, None
            self._chosen, self._refusals = server, 0

    def _be_refused(self, server: IPv4Address, message: DhcpMessage, now: float) -> None:
        """Begin anew: at once for the first time, then ever later, or a refusing server would be asked without end."""
        option = message.get(Code.MESSAGE)
        self._events.append(Refused(server, "" if option is None else read_text(option)[:MAX_TEXT]))
        self._lose(LostBy.REFUSED)
        self._refusals += 1
        if self._refusals == 1:
            self._discover(now)
        else:
            self._rest(self._timing.wait(self._refusals - 1, self._chance()), now)

    # Inside: time.

    def _age(self, now: float) -> None:
        """RFC 2131 section 4.4.5: ask the server at T1, anybody at T2, stop using the address at the end."""
        lease = self._held()
        if now >= lease.expires_at:
            self._lose(LostBy.EXPIRED)
            self._discover(now)
        elif now >= lease.rebind_at and self.state is not State.REBINDING:
            self._ask(State.REBINDING, Request(kind=MessageType.REQUEST, ciaddr=lease.address), now)
        elif self.state is State.BOUND:
            request = Request(kind=MessageType.REQUEST, ciaddr=lease.address, unicast_to=lease.server)
            self._ask(State.RENEWING, request, now)
        else:
            self._repeat(now)

    def _most_attempts(self) -> int:
        timing = self._timing
        few = {State.REQUESTING: timing.request_attempts, State.REBOOTING: timing.reboot_attempts}
        return few.get(self.state, timing.attempts)

    def _give_up(self, now: float) -> None:
        """Nobody answered."""
        self._events.append(Unanswered(self.state, self._attempt))
        if self.state is State.INFORMING:
            self.stop()
        elif self.state is State.SELECTING:
            self._rest(self._timing.retry_after, now)
        else:
            self._discover(now)

    # Inside: asking.

    def _discover(self, now: float) -> None:
        self._ask(State.SELECTING, Request(kind=MessageType.DISCOVER), now)

    def _ask(self, state: State, request: Request, now: float, *, same_transaction: bool = False) -> None:
        if not same_transaction:
            self._new_transaction(now)
            self._chosen = self.lease.server if state is State.RENEWING and self.lease is not None else None
        self.state, self._request, self._attempt = state, request, 0
        self._repeat(now)

    def _repeat(self, now: float) -> None:
        """Send the request of this state, for the first time or again."""
        self._attempt += 1
        self._asked_at = now
        if self.state is not State.REQUESTING:  # there it is that of the DISCOVER (RFC 2131 section 4.4.1)
            self._elapsed = now - self._began
        self._send(self._request)
        self._timer = now + self._pause(now)

    def _pause(self, now: float) -> float:
        """Until the next try: while a lease is held, half of what is left of the stage, but not less than a minute."""
        if self.state in _ASKING or self.lease is None:
            return self._timing.wait(self._attempt, self._chance())
        end = self.lease.rebind_at if self.state is State.RENEWING else self.lease.expires_at
        timing = self._timing
        return max(timing.shortest_renewal_wait, min(timing.longest_renewal_wait, (end - now) / 2))

    def _new_transaction(self, now: float) -> None:
        self._xid = int(self._chance() * 2**32) & 0xFFFF_FFFF
        self._began, self._elapsed = now, 0.0

    def _send(self, request: Request) -> None:
        self._output.append(make_datagram(self._identity, request, xid=self._xid, elapsed=self._elapsed))

    def _lose(self, by: LostBy) -> None:
        if self.lease is not None:
            self._events.append(Lost(self.lease, by))
        self.lease = None

    def _rest(self, seconds: float, now: float) -> None:
        self.state, self.lease, self._chosen = State.WAITING, None, None
        self._timer = now + seconds

    def _held(self) -> Lease:
        if self.lease is None:
            raise LocalProtocolError(f"the DHCP client is {self.state} and has no address")
        return self.lease

    def _must_be(self, state: State) -> None:
        if self.state is not state:
            raise LocalProtocolError(f"the DHCP client is {self.state}; this is possible while it is {state}")
