# SPDX-License-Identifier: Apache-2.0
"""How the devices of a fleet find their server where they are not told, and which of them have to be skipped for it."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from umslab.dhcp.own_lease import parse_own_lease
from umslab_agent.dhcp import DeviceDhcp
from umslab_agent.dhcp_source import DhcpSource
from umslab_agent.discovery import Discovery, Source
from umslab_agent.dns_source import DnsSource
from umslab_agent.os11.finding import stored_address
from umslab_protocol.values.host_port import DEFAULT_WEB_PORT
from umslab_protocol.wire.igel_dhcp import ExtraCodes

if TYPE_CHECKING:
    from collections.abc import Mapping

    from umslab.dhcp.own_lease import OwnLease
    from umslab.fleet.job import Job
    from umslab_agent.discovery import Finder
    from umslab_agent.fleet.plan import Plan
    from umslab_agent.fleet.scenario import Kind
    from umslab_agent.onboarding import World
    from umslab_agent.trust import TrustMode

NEEDS_A_LAB = (
    "source dhcp: skipped for {} devices, because it needs a lab network: run the fleet in a network namespace of "
    "yours, with --dhcp-interface"
)


def own_lease(job: Job) -> OwnLease | None:
    """How devices ask DHCP; None: they do not. Raises `InvalidValueError`."""
    return parse_own_lease(job.dhcp_interface, "", "", static="", fallback="", extra=ExtraCodes())


def without_lab(plan: Plan, job: Job) -> tuple[Plan, str]:
    """Return what of a plan can run, and a sentence about the rest, empty when that is nothing."""
    if job.dhcp_interface:
        return plan, ""
    runs = tuple(device for device in plan.devices if plan.kind_of(device).source != "dhcp")
    skipped = len(plan.devices) - len(runs)
    if not skipped:
        return plan, ""
    kept = {device.index for device in runs}
    phases = tuple(
        replace(one, actions=tuple(action for action in one.actions if action.index in kept)) for one in plan.phases
    )
    return replace(plan, devices=runs, phases=phases), NEEDS_A_LAB.format(skipped)


def discovery_of(kind: Kind, job: Job, world: World, modes: Mapping[str, TrustMode]) -> Discovery | None:
    """What one device of this kind finds its server by; None: it is told."""
    port = job.os11_port if kind.os == 11 else DEFAULT_WEB_PORT
    dhcp, finders = None, dict[Source, "Finder"]()
    lease = own_lease(job)
    if kind.source == "dns" and world.dns is not None:
        finders[Source.DNS] = DnsSource(world.dns, port=port).find
    elif kind.source == "dhcp" and world.dhcp is not None and lease is not None:
        dhcp = DeviceDhcp(world.dhcp, lease.addressing)
        source = DhcpSource(dhcp.heard, port=port)
        finders |= {Source.DHCP43: source.find_vendor, Source.DHCP224: source.find_global}
    else:
        return None
    return Discovery(
        (Source.STORED, *finders),
        finders,
        trust_mode=modes[kind.trust],
        auth_key=job.auth_key or None,
        dhcp=dhcp,
        stored=stored_address if kind.os == 11 else None,
    )
