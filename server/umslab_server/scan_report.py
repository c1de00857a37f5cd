# SPDX-License-Identifier: Apache-2.0
"""What a scan is asked for and what it says, with or without a server (N15)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, NamedTuple

from msgspec import Meta, Struct

from umslab_protocol.errors import InvalidValueError
from umslab_protocol.values.address_range import parse_ranges
from umslab_runtime.policy import EVERYBODY
from umslab_server.errors import RefusedError

if TYPE_CHECKING:
    from umslab_protocol.machines.scan import FoundDevice, Scan
    from umslab_runtime.scanning import ScanPlan

MAX_RANGES = 1_000
_HINT = (
    ". Broadcasts leave only inside a network namespace whose name begins with umslab- (ip netns exec umslab-lab ...); "
    "elsewhere name ranges, such as 127.0.0.0/24, or 127.255.255.255 for all on loopback"
)


class ScanWish(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What to scan; what is not said is as the configuration says."""

    ranges: Annotated[list[Annotated[str, Meta(min_length=1, max_length=40)]], Meta(max_length=MAX_RANGES)] = []
    """Addresses, networks and ranges; without any, everybody on the link is asked."""
    over_tcp: bool = False
    timeout_seconds: Annotated[float, Meta(ge=0.1, le=60)] | None = None
    port: Annotated[int, Meta(ge=1, le=65_535)] | None = None
    register: Annotated[list[Annotated[str, Meta(min_length=1, max_length=40)]], Meta(max_length=MAX_RANGES)] = []
    """Unit IDs of devices that are ordered to register when they are found."""
    register_all_new: bool = False
    """Order all that are found, have no UMS, and have never been registered here."""
    by_rules: bool = False
    """Let default directory rules place those that register (A8); without, they stay in the root."""


class ScannedDevice(Struct, frozen=True, kw_only=True):
    """One device as the scan found it (N15)."""

    unit_id: str
    mac: str
    name: str
    address: str
    product: str
    firmware: str
    has_ums: bool
    """Whether it says that it is registered somewhere."""
    known: str | None
    """`known`, `never-registered`, `in-bin` or `new` here; None where no server was asked."""


class ScanRegistered(Struct, frozen=True, kw_only=True):
    """What became of a device that was to be registered."""

    unit_id: str
    registered: bool
    """Durably."""
    why: str = ""
    """Why not."""


class ScanReport(Struct, frozen=True, kw_only=True):
    """A scan that is over."""

    devices: list[ScannedDevice]
    asked: int
    answers: dict[str, int]
    """How many of each kind; see `machines.scan.ScanVerdict`."""
    refused: dict[str, str]
    """Addresses that may not be asked, and why."""
    registrations: list[ScanRegistered] = []
    """Those that were to be registered."""


class ScanProgress(NamedTuple):
    """How far a scan is."""

    addresses: int
    asked: int
    found: int
    ordered: int = 0
    """To register."""
    registered: int = 0


def progress_of(scan: Scan, plan: ScanPlan) -> ScanProgress:
    """Say how far it is."""
    return ScanProgress(len(plan.hosts), len(plan.hosts) - scan.left, len(scan.found))


def hosts_of(ranges: list[str], broadcast: str, *, over_tcp: bool) -> list[str]:
    """Return the addresses to ask; without a range that of everybody. Raises `InvalidValueError`."""
    if over_tcp and not ranges:
        raise InvalidValueError("a scan over TCP asks one address after the other: name ranges, such as 127.3.0.0/28")
    return [str(address) for address in parse_ranges(ranges or [broadcast])]


def report_of(scan: Scan, asked: int, known: dict[str, str] | None) -> ScanReport:
    """Put a scan that is over into words; `known` tells how a registry knows devices."""
    return ScanReport(
        devices=[_described(one, known) for one in sorted(scan.found.values(), key=lambda one: one.answer.unit_id)],
        asked=asked - len(scan.refused),
        answers={str(verdict): count for verdict, count in sorted(scan.verdicts.items())},
        refused=scan.refused,
    )


def _described(found: FoundDevice, known: dict[str, str] | None) -> ScannedDevice:
    answer = found.answer
    return ScannedDevice(
        unit_id=answer.unit_id,
        mac=answer.mac,
        name=answer.name,
        address=found.host,
        product=answer.product,
        firmware=answer.firmware,
        has_ums=answer.has_ums,
        known=None if known is None else known.get(answer.unit_id, "new"),
    )


def refuse_if_nobody_was_asked(scan: Scan, plan: ScanPlan) -> None:
    """Raise `RefusedError` with the first reason when no address could be asked."""
    if scan.refused and len(scan.refused) == len(plan.hosts):
        why = next(iter(scan.refused.values()))
        raise RefusedError(f"nobody was asked: {why}{_HINT if str(EVERYBODY) in scan.refused else ''}")
