# SPDX-License-Identifier: Apache-2.0
"""How a device of the command line finds its UMS, when HOST alone does not say where it is."""

from __future__ import annotations

from pathlib import Path

from umslab import exit_codes
from umslab.cli.output import UserError
from umslab.dhcp.found_leases import find_leases
from umslab.dhcp.own_lease import OwnLease
from umslab.dhcp.samples import UnreadableError, is_path, read_file, read_samples
from umslab.one_device import Finding
from umslab_agent.discovery import DEFAULT_SOURCES, Source, parse_sources
from umslab_protocol.values.host_port import HostPort
from umslab_protocol.wire.dhcp_options import Option
from umslab_protocol.wire.igel_dhcp import ExtraCodes
from umslab_protocol.wire.mdns import parse_own_address
from umslab_runtime.dns import parse_nameserver, parse_search_domain


def finding_of(
    target: HostPort | None,
    sources: str,
    lease: str,
    nameservers: list[str],
    search: list[str],
    *,
    own_lease: OwnLease | None,
    extra: ExtraCodes,
    mdns: tuple[str, ...] | None,
) -> Finding | None:
    """Return how the UMS is looked for; with HOST it is not (None), unless the user says by which sources.

    Raises `UserError` for what does not go together, and `ValueError` for what cannot be read.
    """
    if lease and own_lease is not None:
        raise UserError("the device leases by itself, or it has what --dhcp-lease says", exit_codes.USAGE)
    if target is not None and not sources:
        if lease or own_lease or nameservers or search or mdns is not None:
            raise UserError("HOST says where the UMS is: with --sources it is one of several ways", exit_codes.USAGE)
        return None
    order = parse_sources(sources) if sources else DEFAULT_SOURCES
    if mdns is not None and Source.MDNS not in order:
        raise UserError("--mdns is asked for, and --sources leaves it out", exit_codes.USAGE)
    return Finding(
        sources=order,
        lease=_lease(lease) if lease else None,
        own_lease=own_lease,
        extra=extra,
        nameservers=tuple(map(parse_nameserver, nameservers)),
        search=tuple(map(parse_search_domain, search)),
        mdns=mdns is not None or (bool(sources) and Source.MDNS in order),
        mdns_on=mdns or (),
    )


def own_mdns(*, asked: bool, named: list[str] | None) -> tuple[str, ...] | None:
    """Return from which addresses mDNS is asked, none for the machine's own choice; None: not at all.

    Raises `ValueError`.
    """
    return tuple(map(parse_own_address, named or [])) if asked or named else None


def _lease(what: str) -> tuple[Option, ...]:
    if what == "auto":
        return _left_lease()
    try:
        data = read_file(Path(what)) if is_path(what) else what.encode("utf-8", "surrogateescape")
        found = read_samples(data).found
    except UnreadableError as error:
        raise UserError(f"--dhcp-lease: {error}", exit_codes.USAGE) from None
    if not found:
        raise UserError("--dhcp-lease holds no options of a lease", exit_codes.USAGE)
    return found[0].options


def _left_lease() -> tuple[Option, ...]:
    """The options of the newest lease that a client of this machine left."""
    left = find_leases(Path("/"))
    if not left.found:
        why = "; ".join(left.problems) or "no client of this machine left one where umslab looks for it"
        raise UserError(f"--dhcp-lease auto: {why} (umslab dhcp leases)", exit_codes.USAGE)
    return max(left.found, key=lambda found: found[0].stat().st_mtime)[1].options
