# SPDX-License-Identifier: Apache-2.0
"""Online checks and scans from the command line, without a server: on the real network, behind the target policy."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from ipaddress import AddressValueError, IPv4Address
from typing import TYPE_CHECKING

import trio

from umslab_protocol.errors import InvalidValueError
from umslab_protocol.machines.online_check import CheckRules, Missed, OnlineCheck, Reached, Target
from umslab_protocol.values.host_port import parse_host_port
from umslab_protocol.values.unit_id import parse_unit_id
from umslab_protocol.wire.probes import PROBE_PORT
from umslab_runtime.clock import SystemClock
from umslab_runtime.namespaces import Whereabouts, whereabouts
from umslab_runtime.net_trio import TrioNetwork
from umslab_runtime.policy import TargetPolicy
from umslab_runtime.scanning import ScanPlan, run_scan
from umslab_runtime.sweeping import Sweeping

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from umslab_protocol.machines.online_check import CheckEvent
    from umslab_protocol.machines.scan import Scan
    from umslab_runtime.policy import IPAddress


def policy_here(owned: Iterable[IPAddress]) -> TargetPolicy:
    """Who may be called: in a namespace that umslab made everybody there, else loopback and what the user owns."""
    return TargetPolicy(owned=frozenset(owned), namespace=whereabouts() is Whereabouts.MADE)


def parse_owned(texts: Iterable[str]) -> frozenset[IPv4Address]:
    """Read the addresses of `--i-own`; raises `InvalidValueError`."""
    try:
        return frozenset(map(IPv4Address, texts))
    except AddressValueError as error:
        raise InvalidValueError(f"--i-own takes IPv4 addresses here: {error}") from None


def reply_host(hosts: list[str]) -> str:
    """Where answers arrive: on loopback when nobody else is asked."""
    return "127.0.0.1" if all(IPv4Address(host).is_loopback for host in hosts) else "0.0.0.0"


def parse_target(text: str) -> Target:
    """Read `UNIT_ID@ADDRESS[:PORT]`; raises `InvalidValueError`."""
    unit_id, _, where = text.partition("@")
    place = parse_host_port(where, PROBE_PORT)
    try:
        IPv4Address(place.host)
    except ValueError:
        raise InvalidValueError(f"{text[:60]!r}: devices are asked at an IPv4 address, not at a name") from None
    return Target(parse_unit_id(unit_id), place.host, place.port)


@dataclass
class Checked:
    """What came of an online check."""

    reached: dict[str, float] = field(default_factory=dict)
    """Unit ID -> seconds to the answer."""
    missed: list[str] = field(default_factory=list)
    skipped: dict[str, str] = field(default_factory=dict)
    """Unit ID -> why it was not asked."""
    counters: dict[str, int] = field(default_factory=dict)

    def note(self, event: CheckEvent) -> None:
        """Take what has become known."""
        if isinstance(event, Reached):
            self.reached[event.unit_id] = event.seconds
        elif isinstance(event, Missed):
            self.missed.append(event.unit_id)
        else:
            self.skipped[event.unit_id] = event.why


async def check_alone(
    targets: list[Target],
    rules: CheckRules,
    *,
    owned: frozenset[IPv4Address],
    reply_port: int,
    on_change: Callable[[Checked], None],
) -> Checked:
    """Ask these devices once; `on_change` is told whenever more is known.

    Raises `ListenError`, and `TargetRefusedError` in a namespace that is none.
    """
    network = TrioNetwork(policy_here(owned))
    endpoint = await network.udp(reply_host([target.host for target in targets]), reply_port)
    checked = Checked()

    def note(event: CheckEvent) -> None:
        checked.note(event)
        on_change(checked)

    try:
        check = OnlineCheck(rules, reply_port=endpoint.address.port, entropy=os.urandom)
        sweeping = Sweeping(endpoint, check, clock=SystemClock(), on_event=note)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(sweeping.run)
            await sweeping.sweep(targets)
            nursery.cancel_scope.cancel()
    finally:
        endpoint.close()
    verdicts = {str(verdict): count for verdict, count in sorted(check.verdicts.items())}
    checked.counters = {"probes": check.probes, "unsent": sweeping.unsent, **verdicts}
    return checked


async def scan_alone(plan: ScanPlan, *, owned: frozenset[IPv4Address], on_progress: Callable[[Scan], None]) -> Scan:
    """Scan once. Raises as `check_alone`."""
    network = TrioNetwork(policy_here(owned))
    return await run_scan(plan, network, clock=SystemClock(), entropy=os.urandom, on_progress=on_progress)
