# SPDX-License-Identifier: Apache-2.0
"""What a DHCP client tells its user: states, events, reasons for ignoring; and how patient it is.

Provenance: standard (RFC 2131 section 4.4). The machine is dhcp_client.py.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ipaddress import IPv4Address

    from umslab_protocol.machines.dhcp_lease import Lease
    from umslab_protocol.wire.dhcp_options import Option


class State(StrEnum):
    """Where the client stands (RFC 2131 figure 5, and two of ours)."""

    STOPPED = "stopped"
    WAITING = "waiting"
    """Before it begins anew."""
    SELECTING = "selecting"
    REQUESTING = "requesting"
    REBOOTING = "rebooting"
    """It had an address before and asks whether it still counts."""
    BOUND = "bound"
    RENEWING = "renewing"
    REBINDING = "rebinding"
    INFORMING = "informing"


class Ignored(StrEnum):
    """Why a message was not taken."""

    NOT_A_REPLY = "not-a-reply"
    """A request of some client."""
    WRONG_CLIENT = "wrong-client"
    """The hardware address is another one."""
    WRONG_XID = "wrong-xid"
    """The transaction is another one."""
    SECOND_SERVER = "second-server"
    """From a server that was not chosen."""
    UNEXPECTED = "unexpected"
    """Late, twice, or not an answer to what was asked."""


class LostBy(StrEnum):
    """How an address went."""

    EXPIRED = "expired"
    REFUSED = "refused"


@dataclass(frozen=True, slots=True)
class Bound:
    """It has an address."""

    lease: Lease


@dataclass(frozen=True, slots=True)
class Renewed:
    """It may keep the address; options may have changed."""

    lease: Lease


@dataclass(frozen=True, slots=True)
class Informed:
    """The answer to `inform`."""

    server: IPv4Address
    options: tuple[Option, ...]


@dataclass(frozen=True, slots=True)
class Unanswered:
    """Nobody answered, in this state, after so many tries. The client goes on by itself, except after `inform`."""

    state: State
    attempts: int


@dataclass(frozen=True, slots=True)
class Refused:
    """A NAK, with the server's words."""

    server: IPv4Address
    text: str


@dataclass(frozen=True, slots=True)
class Lost:
    """The address must not be used any more. The client begins anew by itself."""

    lease: Lease
    by: LostBy


DhcpEvent = Bound | Renewed | Informed | Unanswered | Refused | Lost


@dataclass(frozen=True, slots=True, kw_only=True)
class Timing:
    """Seconds and tries."""

    first_wait: float = 4.0  # RFC 2131 section 4.1: 4, 8, 16, 32, 64 s, each plus or minus 1 s
    longest_wait: float = 64.0
    jitter: float = 1.0
    attempts: int = 5
    request_attempts: int = 4
    """RFC 2131 section 4.4.1: four, 60 s in all."""
    reboot_attempts: int = 2
    retry_after: float = 300.0
    """How long to rest when nobody offers anything, as dhclient does."""
    decline_wait: float = 10.0  # RFC 2131 section 3.1 point 5
    shortest_renewal_wait: float = 60.0  # RFC 2131 section 4.4.5
    longest_renewal_wait: float = 86_400.0

    def wait(self, attempt: int, chance: float) -> float:
        """How long to wait after this attempt, counted from 1."""
        full = min(self.longest_wait, self.first_wait * 2.0 ** min(attempt - 1, 16))
        return max(0.0, full + self.jitter * (2 * chance - 1))
