# SPDX-License-Identifier: Apache-2.0
"""A device that leases by itself: what a user can say about it, the runner it has a seat in, the names it learns."""

from __future__ import annotations

import random
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from umslab.dhcp.ways import Way, parse_own_address, parse_way
from umslab_agent.dhcp import Addressing
from umslab_protocol.errors import InvalidValueError
from umslab_protocol.values.host_port import HostPort
from umslab_protocol.wire.dhcp_names import nameservers, search_domains
from umslab_runtime.dhcp_runner import PATIENCE_SECONDS, open_runner
from umslab_runtime.dns import DNS_PORT
from umslab_runtime.namespaces import whereabouts

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterable, Sequence

    from umslab_protocol.wire.dhcp_options import Option
    from umslab_protocol.wire.igel_dhcp import ExtraCodes
    from umslab_runtime.clock import Clock
    from umslab_runtime.dhcp_runner import DhcpRunner
    from umslab_runtime.dns import DnsClient, DnsSettings
    from umslab_runtime.policy import IPAddress

PREFIX = "--dhcp-"


@dataclass(frozen=True, slots=True, kw_only=True)
class OwnLease:
    """The way to the DHCP server, and how the device uses it."""

    way: Way
    addressing: Addressing = field(default_factory=Addressing)


def parse_own_lease(
    interface: str,
    relay: str,
    giaddr: str,
    *,
    static: str,
    fallback: str,
    patience: float = PATIENCE_SECONDS,
    extra: ExtraCodes,
) -> OwnLease | None:
    """Read the flags of `umslab device`; None: it does not lease by itself. Raises `InvalidValueError`."""
    if not (interface or relay or giaddr):
        if static or fallback:
            raise InvalidValueError("--static and --static-fallback go with --dhcp-interface or --dhcp-relay")
        return None
    if static and fallback:
        raise InvalidValueError("--static never asks for an address, so there is nothing for --static-fallback")
    if not 0 < patience < float("inf"):
        raise InvalidValueError("--dhcp-timeout must be greater than 0")
    way = parse_way(interface, relay, giaddr, prefix=PREFIX)
    addressing = Addressing(
        relay=way.relay,
        static=parse_own_address("--static", static) if static else None,
        fallback=parse_own_address("--static-fallback", fallback) if fallback else None,
        extra=extra,
        patience=patience,
    )
    return OwnLease(way=way, addressing=addressing)


@asynccontextmanager
async def open_own_lease(
    lease: OwnLease | None, owned: Iterable[IPAddress], clock: Clock
) -> AsyncIterator[DhcpRunner | None]:
    """Run DHCP clients as long as the block lasts; None where nobody leases.

    Raises `ListenError` and `TargetRefusedError`.
    """
    if lease is None:
        yield None
        return
    door = await lease.way.open(owned, whereabouts())
    async with open_runner(door, clock, chance=random.SystemRandom().random) as runner:
        yield runner


def learn_names(client: DnsClient, options: Sequence[Option], said: DnsSettings) -> None:
    """Resolve from now on as these options say, where the user said nothing (D1).

    Who may be asked does not change: a lease gives no consent.
    """
    servers = tuple(HostPort(str(address), DNS_PORT) for address in nameservers(options))
    client.settings = replace(
        said, nameservers=said.nameservers or servers, search=said.search or search_domains(options)
    )
