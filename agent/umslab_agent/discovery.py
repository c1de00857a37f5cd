# SPDX-License-Identifier: Apache-2.0
"""How a device finds its UMS: sources asked one after the other, and every decision told (facts D1-D16, W9, O3).

Provenance: the sources are documented, also that the address stored at registration beats `igelrmserver` (W9). That
DHCP comes before DNS, and option 43 before 224, is our assumption (D16; D6 says it for one and the same option). A
source that leads to something else than a UMS is left behind and the next one asked: our reading of D13.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import TYPE_CHECKING

import msgspec

from umslab_agent.happenings import Kind
from umslab_agent.kept import Discovered
from umslab_certs.errors import CertificateError
from umslab_protocol.errors import InvalidValueError
from umslab_protocol.values.failure import Failure, Phase, Reason
from umslab_protocol.values.host_port import HostPort, parse_host_port

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping, Sequence

    from umslab_agent.connecting import Asked
    from umslab_agent.dhcp import DeviceDhcp
    from umslab_agent.onboarding import Onboarding
    from umslab_agent.trust import TrustMode
    from umslab_agent.unit import Unit
    from umslab_protocol.values.fingerprint import Fingerprint

MAX_DETAIL = 1_000


class Source(StrEnum):
    """Where a device can learn the address of its UMS."""

    STORED = "stored"
    DHCP43 = "dhcp43"
    DHCP224 = "dhcp224"
    DNS = "dns"
    MDNS = "mdns"
    COMMAND_LINE = "command-line"
    SCAN = "scan"
    """Waits until a UMS finds the device; not among the default ones."""


DEFAULT_SOURCES = (Source.STORED, Source.DHCP43, Source.DHCP224, Source.DNS, Source.MDNS, Source.COMMAND_LINE)
"""W9 for the first; the rest is ours (D16), and mDNS is ours altogether (D18)."""
ELSEWHERE = {
    Reason.NOT_EST,
    Reason.NOT_TLS,
    Reason.BAD_ANSWER,
    Reason.PIN_MISMATCH,
    Reason.TLS_REFUSED,
    Reason.TLS_BROKEN,
}
"""Something answers at the address, and it is not the UMS (D13)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """What a source knows."""

    source: Source
    targets: tuple[HostPort, ...]
    """In the order in which they are tried."""
    why: str
    auth_key: str | None = field(default=None, repr=False)
    ca_hash: Fingerprint | None = None
    structure_tag: str = ""
    token: Callable[[], str] = field(default=str, repr=False)
    """Tells what registers this device (A6); another one after the UMS has given another. Empty for nothing."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Absent:
    """Why a source knows nothing."""

    source: Source
    reason: str
    text: str


if TYPE_CHECKING:
    Finder = Callable[[], Awaitable[Found | Absent]]


def parse_sources(text: str) -> tuple[Source, ...]:
    """Read `stored,dns,...`; raises `InvalidValueError`."""
    names = [name.strip() for name in text.split(",")]
    if len(set(names)) != len(names) or not set(names) <= set(Source):
        raise InvalidValueError(f"sources are some of {', '.join(Source)}, each once, with commas between them")
    return tuple(Source(name) for name in names)


class Discovery:
    """The sources of one device in their order."""

    def __init__(
        self,
        order: Sequence[Source],
        finders: Mapping[Source, Finder],
        *,
        trust_mode: TrustMode,
        auth_key: str | None,
        structure_tag: str = "",
        dhcp: DeviceDhcp | None = None,
        stored: Callable[[Unit], Found | Absent] | None = None,
    ) -> None:
        """Trust, key and tag are those the user gave: they beat what sources say. `dhcp` leases before these are asked.

        It is None for a device that does not lease by itself. `stored` is what asks the source of that name.
        """
        self._order = tuple(order)
        self._finders = finders
        self._trust_mode = trust_mode
        self._auth_key = auth_key
        self._structure_tag = structure_tag
        self._dhcp = dhcp
        self._found: Found | None = None
        self._stored = stored or stored_address

    def look_again(self, onboarding: Onboarding) -> None:
        """Forget what was found: the device boots, or nobody was there."""
        onboarding.target, onboarding.known, self._found = None, (), None

    def leave(self, unit: Unit, *, release: bool) -> None:
        """The device goes down; its address is given back, or is to be asked for again."""
        if self._dhcp is not None:
            self._dhcp.leave(unit, release=release)

    async def establish_trust(self, unit: Unit, onboarding: Onboarding) -> Failure | None:
        """Try one address after the other until one is a UMS that can be trusted, and keep it."""

        async def attempt(target: HostPort, found: Found) -> Failure | None:
            self._aim(unit, onboarding, target, found)
            failure = await onboarding.establish_trust()
            return self._keep(unit, onboarding, target, found) if failure is None else failure

        failure = await self.try_each(unit, attempt, Phase.RESOLVE)
        if failure is not None:
            onboarding.target = None
        return failure

    async def locate(self, unit: Unit, onboarding: Onboarding) -> Failure | None:
        """Find the addresses of a device that is registered already."""
        if onboarding.target is not None:
            await self._lease(unit)
            return None
        found = await self.find(unit, Phase.CONNECT)
        if isinstance(found, Failure):
            return found
        onboarding.target, onboarding.known, self._found = found.targets[0], found.targets, found
        return None

    async def try_each(
        self, unit: Unit, attempt: Callable[[HostPort, Found], Awaitable[Failure | None]], phase: Phase
    ) -> Failure | None:
        """Try one address after the other until one will do; otherwise return the first failure."""
        await self._lease(unit)
        failures: list[Failure] = []
        missing: list[Absent] = []
        for source in self._order:
            found = await self._look(unit, source)
            if isinstance(found, Absent):
                missing.append(found)
                continue
            for target in found.targets:
                failure = await attempt(target, found)
                if failure is None or failure.phase is Phase.STORE:
                    return failure
                failures.append(_tell_failure(unit, source, target, failure))
        return failures[0] if failures else _nothing_found(phase, missing)

    async def find(self, unit: Unit, phase: Phase) -> Found | Failure:
        """Return what the first source says that says anything."""
        await self._lease(unit)
        missing: list[Absent] = []
        for source in self._order:
            found = await self._look(unit, source)
            if isinstance(found, Found):
                return found
            missing.append(found)
        return _nothing_found(phase, missing)

    def tell_refusals(self, unit: Unit, asked: Sequence[Asked]) -> None:
        """Say of each address of the source that was asked in vain why, as at the first contact (D13)."""
        found = self._found
        for target, failure in asked:
            if found is not None and target in found.targets:
                _tell_failure(unit, found.source, target, failure)

    async def _lease(self, unit: Unit) -> None:
        if self._dhcp is not None:
            await self._dhcp.ensure(unit)

    async def _look(self, unit: Unit, source: Source) -> Found | Absent:
        finder = self._finders.get(source)
        if source is Source.STORED:
            found = self._stored(unit)
        elif finder is None:
            found = Absent(source=source, reason="not-given", text="nothing was given for this source")
        elif source is Source.SCAN:
            found = await self._wait_for_scan(unit, finder)
        else:
            found = await finder()
        if isinstance(found, Absent):
            unit.tell(Kind.DISCOVERY, f"{source}: {found.text}", source=source, reason=found.reason)
        else:
            listed = ", ".join(map(str, found.targets))
            unit.tell(
                Kind.DISCOVERY, f"{source}: {listed} ({found.why})", source=source, reason="found", addresses=listed
            )
        return found

    @staticmethod
    async def _wait_for_scan(unit: Unit, finder: Finder) -> Found | Absent:
        if unit.folder.has_ums(unit.firmware.major):
            text = "the device has a UMS, so it does not wait for another"
            return Absent(source=Source.SCAN, reason="registered", text=text)
        text = "scan: waiting until a UMS finds this device and orders it to register"
        unit.tell(Kind.DISCOVERY, text, source=Source.SCAN, reason="waiting")
        return await finder()

    def _aim(self, unit: Unit, onboarding: Onboarding, target: HostPort, found: Found) -> None:
        """Go for this address, with the key and the trust that belong to it."""
        mode = self._trust_mode
        vouched = bool(mode.token or mode.ca_hash or mode.first_use)
        key = self._auth_key or found.auth_key
        if not vouched and found.ca_hash is not None:
            mode = replace(mode, ca_hash=found.ca_hash)
        elif not vouched and key is None:
            mode = replace(mode, first_use=True)
            text = f"nobody vouches for {target}: the root that answers first is pinned (C33, C34)"
            unit.tell(Kind.DISCOVERY, text, source=found.source, reason="trust-first-use")
        onboarding.target, onboarding.trust_mode = target, mode
        onboarding.auth_key, onboarding.automatic, onboarding.token = key, key is None, found.token

    def _keep(self, unit: Unit, onboarding: Onboarding, target: HostPort, found: Found) -> Failure | None:
        """Keep the address (W9), and the structure tag unless the user gave one (section 6.2)."""
        way = "automatically, without a key" if onboarding.automatic else "with a first-authentication key"
        if onboarding.automatic and onboarding.token():
            way = "with the token that came with the order"
        text = f"{target} from {found.source} is taken; the device registers {way}"
        unit.tell(Kind.DISCOVERY, text, source=found.source, reason="taken", address=str(target))
        try:
            unit.folder.discovered.save(Discovered(address=str(target), source=found.source))
            if found.structure_tag and not self._structure_tag:
                unit.persona = msgspec.structs.replace(unit.persona, structure_tag=found.structure_tag)
                unit.folder.save_persona(unit.persona)
        except OSError as error:
            return Failure(Phase.STORE, Reason.NOT_SAVED, f"{unit.folder.path}: {error.strerror or error}")
        return None


def stored_address(unit: Unit) -> Found | Absent:
    """The address of the UMS at which the device is registered (W9)."""
    source, folder = Source.STORED, unit.folder
    try:
        registered = folder.load_identity() is not None
    except (CertificateError, OSError):
        registered = False
    if not registered:
        return Absent(source=source, reason="not-registered", text="the device is not registered, so nothing is stored")
    known = [
        f"{one.host}:{one.port}" if ":" not in one.host else one.host for one in folder.connectors.load().connectors
    ]
    targets: dict[HostPort, None] = {}
    for address in (folder.discovered.load().address, *folder.reached.load().addresses, *known):
        try:
            targets[parse_host_port(address)] = None
        except InvalidValueError:
            continue  # nothing there, or somebody edited the file
    if targets:
        return Found(source=source, targets=tuple(targets), why="stored at registration, W9")
    return Absent(source=source, reason="nothing-stored", text="no address is stored")


def command_line(target: HostPort) -> Finder:
    """The address that the user gave."""

    async def find() -> Found:
        return Found(source=Source.COMMAND_LINE, targets=(target,), why="given by the user")

    return find


def _tell_failure(unit: Unit, source: Source, target: HostPort, failure: Failure) -> Failure:
    """Say why an address is left behind; returns the failure with a hint that fits."""
    elsewhere = failure.reason in ELSEWHERE
    text = f"{source}: {target} answers, but is not the UMS" if elsewhere else f"{source}: {target} cannot be used"
    reason = "points-elsewhere" if elsewhere else str(failure.reason)
    unit.tell(Kind.DISCOVERY, f"{text}: {failure.detail}", source=source, reason=reason, address=str(target))
    if not elsewhere or failure.reason is Reason.PIN_MISMATCH:
        return failure
    return replace(failure, hint=f"what {source} says leads to something that is not a UMS (D13): correct it there")


def _nothing_found(phase: Phase, missing: Sequence[Absent]) -> Failure:
    detail = "no source knows a UMS: " + "; ".join(f"{absent.source}: {absent.text}" for absent in missing)
    hint = "name it (umslab device HOST), or mend DHCP or DNS: umslab explain D1"
    return Failure(phase, Reason.NAME_UNKNOWN, detail[:MAX_DETAIL], hint)
