# SPDX-License-Identifier: Apache-2.0
"""What IGEL OS of a given firmware makes of DHCP options, with the reason for everything it takes or leaves.

Provenance: documented (D2-D7, D11, D12) for which options count and which beats which. Where the vendor is silent the
reading is ours and every remark about it says so: how lists, ports and broken values are treated (D15, NP16), and the
codes of the three options of OS 12.7.2, which are unpublished (D11, NP15): simulated, off unless codes are given.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING

from umslab_protocol.errors import InvalidValueError
from umslab_protocol.values.firmware import Behaviour, FirmwareVersion, behaves
from umslab_protocol.values.host_port import parse_host
from umslab_protocol.wire.dhcp_options import END, PAD, Code, Option, read_field, write_options
from umslab_protocol.wire.igel_dhcp_values import (
    Reader,
    Remark,
    Unusable,
    read_hash,
    read_key,
    read_port,
    read_server,
    read_tag,
)

if TYPE_CHECKING:
    from collections.abc import Iterable

VENDOR_CLASS = b"igel-dhcp-1"  # D3
EXCLUSIVE = 1
"""Sub-option 1 of option 43: a byte, 1 (D5)."""


class Item(StrEnum):
    """What DHCP can tell a device."""

    SERVER = "server"
    TAG = "tag"
    PORT = "port"
    AUTH_KEY = "auth-key"
    CA_HASH = "ca-hash"


class Place(StrEnum):
    """Where a value was found."""

    VENDOR = "option 43"
    GLOBAL = "global"


@dataclass(frozen=True, slots=True)
class ExtraCodes:
    """Codes for igelrmserver-port, -auth and -ca-hash (SIMULATED: unpublished, D11); None: not looked for."""

    port: int | None = None
    auth_key: int | None = None
    ca_hash: int | None = None

    def __post_init__(self) -> None:
        given = [code for code in (self.port, self.auth_key, self.ca_hash) if code is not None]
        taken = {*Code, EXCLUSIVE}
        if len(set(given)) != len(given) or any(code in taken or not PAD < code < END for code in given):
            raise InvalidValueError("the codes of the extra options must differ, lie in 1-254 and not be in use")


@dataclass(frozen=True, slots=True)
class Setting:
    """One value that counts, and where it comes from."""

    item: Item
    value: str
    place: Place
    code: int
    facts: tuple[str, ...]

    @property
    def source(self) -> str:
        """For people: "option 224" or "sub-option 224 of option 43"."""
        return _named(self.place, self.code)


@dataclass(frozen=True, slots=True)
class IgelView:
    """What a device of this firmware makes of it: settings, reasons for what was left, warnings."""

    firmware: FirmwareVersion
    settings: dict[Item, Setting]
    exclusive: bool
    other_servers: tuple[str, ...]
    """What follows the first address of a list (D15)."""
    reasons: tuple[Remark, ...]
    warnings: tuple[Remark, ...]

    def value(self, item: Item) -> str | None:
        """The value of a setting."""
        setting = self.settings.get(item)
        return None if setting is None else setting.value


@dataclass(frozen=True, slots=True)
class _Kind:
    item: Item
    code: int
    read: Reader
    facts: tuple[str, ...]
    old: bool = False
    """Whether firmware that knows nothing of option 43 reads it."""


def vendor_payload(*, server: str, tag: str = "", exclusive: bool = False) -> bytes:
    """The bytes of option 43: exclusive, server, tag (D4-D7), without NUL and without an End option."""
    options = [Option(EXCLUSIVE, b"\x01")] if exclusive else []
    options.append(Option(Code.IGEL_SERVER, parse_host(server).encode()))
    if tag:
        options.append(Option(Code.IGEL_STRUCTURE_TAG, tag.encode()))
    return write_options(options)


def requested_codes(firmware: FirmwareVersion) -> tuple[int, ...]:
    """What the device asks for in option 55 because of IGEL (D2, D3, D7)."""
    if not behaves(firmware, Behaviour.DHCP_VENDOR_CLASS):
        return (Code.IGEL_SERVER,)
    return (Code.VENDOR_SPECIFIC, Code.IGEL_SERVER, Code.IGEL_STRUCTURE_TAG)


def vendor_class(firmware: FirmwareVersion) -> bytes | None:
    """What the device sends in option 60 (D3)."""
    return VENDOR_CLASS if behaves(firmware, Behaviour.DHCP_VENDOR_CLASS) else None


def interpret(options: Iterable[Option], firmware: FirmwareVersion, extra: ExtraCodes | None = None) -> IgelView:
    """Say what IGEL OS makes of the options of an acknowledgement; never raises, whatever the options hold."""
    return _Interpreter(tuple(options), firmware, extra or ExtraCodes()).run()


@dataclass(slots=True)
class _Interpreter:
    """One look at one set of options; collects as it goes."""

    options: tuple[Option, ...]
    firmware: FirmwareVersion
    extra: ExtraCodes
    settings: dict[Item, Setting] = field(default_factory=dict)
    reasons: list[Remark] = field(default_factory=list)
    warnings: list[Remark] = field(default_factory=list)
    other_servers: tuple[str, ...] = ()
    exclusive: bool = False

    def run(self) -> IgelView:
        modern = behaves(self.firmware, Behaviour.DHCP_VENDOR_CLASS)
        globally = {option.code: option for option in self.options}
        kinds = self._kinds()
        vendor = self._vendor(globally.get(Code.VENDOR_SPECIFIC), {kind.code for kind in kinds}, modern=modern)
        self.exclusive = EXCLUSIVE in vendor
        if self.exclusive and vendor[EXCLUSIVE].value != b"\x01":
            shown = vendor[EXCLUSIVE].value[:8].hex() or "nothing"
            text = f"sub-option 1 of option 43 (exclusive) should be the byte 01 and is {shown}; its presence counts"
            self.warnings.append(Remark(text, ("D5",)))
        for kind in kinds:
            if modern or kind.old:
                self._choose(kind, vendor.get(kind.code), globally.get(kind.code))
            elif kind.code in globally:
                text = f"option {kind.code} is ignored: firmware before 11.04.100 reads option 224 only"
                self.reasons.append(Remark(text, ("D2", "D3")))
        return IgelView(
            self.firmware, self.settings, self.exclusive, self.other_servers, tuple(self.reasons), tuple(self.warnings)
        )

    def _kinds(self) -> list[_Kind]:
        kinds = [
            _Kind(Item.SERVER, Code.IGEL_SERVER, read_server, ("D2",), old=True),
            _Kind(Item.TAG, Code.IGEL_STRUCTURE_TAG, read_tag, ("D7",)),
        ]
        more = (
            (Item.PORT, self.extra.port, read_port),
            (Item.AUTH_KEY, self.extra.auth_key, read_key),
            (Item.CA_HASH, self.extra.ca_hash, read_hash),
        )
        given = [_Kind(item, code, read, ("D11", "NP15")) for item, code, read in more if code is not None]
        if given and not behaves(self.firmware, Behaviour.DHCP_SERVER_DETAILS):
            text = f"the options for port, key and CA hash came with OS 12.7.2; {self.firmware} does not know them"
            self.reasons.append(Remark(text, ("D11",)))
            return kinds
        return kinds + given

    def _vendor(self, option: Option | None, meant: set[int], *, modern: bool) -> dict[int, Option]:
        """The sub-options of option 43, each code once."""
        if option is None:
            return {}
        if not modern:
            text = "option 43 is ignored: the device understands it from firmware 11.04.100 on"
            self.reasons.append(Remark(text, ("D3",)))
            return {}
        if self.firmware.major >= 12 and not behaves(self.firmware, Behaviour.DHCP_VENDOR_FIXED):
            text = "OS 12 before 12.7.6 had a bug in reading option 43, of which no details are published"
            self.warnings.append(Remark(text, ("D12",)))
        found = read_field(option.value)
        if found.problem is not None:
            text = f"option 43 is damaged: {found.problem}; what stands before that counts (our reading)"
            self.warnings.append(Remark(text, ("D9",)))
        if found.trailing:
            self.warnings.append(Remark("option 43 has bytes after its End byte; they are ignored", ("D9",)))
        return self._once(found.pieces, meant)

    def _once(self, pieces: tuple[tuple[int, bytes], ...], meant: set[int]) -> dict[int, Option]:
        once: dict[int, Option] = {}
        twice: set[int] = set()
        for code, value in pieces:
            if code in once:
                twice.add(code)
            else:
                once[code] = Option(code, value)
        for code in sorted(twice):
            text = f"sub-option {code} of option 43 comes more than once; the first counts (our reading)"
            self.warnings.append(Remark(text, ("D9",)))
        if once and not once.keys() & {EXCLUSIVE, *meant}:
            listed = ", ".join(map(str, sorted(once)))
            text = f"option 43 has only sub-options that mean nothing to IGEL OS ({listed}): for another vendor?"
            self.warnings.append(Remark(text, ("D4",)))
        return once

    def _choose(self, kind: _Kind, vendor: Option | None, everywhere: Option | None) -> None:
        """Option 43 before global (D6); with "exclusive" never global (D5)."""
        if vendor is not None:
            self._take(kind, vendor, Place.VENDOR)
            if everywhere is not None:
                why = "option 43 is exclusive" if self.exclusive else "the value inside option 43 beats it"
                fact = "D5" if self.exclusive else "D6"
                self.reasons.append(Remark(f"option {kind.code} is ignored because {why}", (fact,)))
        elif everywhere is not None and self.exclusive:
            self.reasons.append(Remark(f"option {kind.code} is ignored because option 43 is exclusive", ("D5",)))
        elif everywhere is not None:
            self._take(kind, everywhere, Place.GLOBAL)

    def _take(self, kind: _Kind, option: Option, place: Place) -> None:
        name = _named(place, kind.code)
        facts = (*kind.facts, *(("D4", "D6") if place is Place.VENDOR else ()))
        try:
            found = kind.read(option.value)
        except Unusable as error:
            self.warnings.append(Remark(f"{name} cannot be used: {error.remark.text}", error.remark.facts))
            return
        self.warnings += [Remark(f"{name}: {remark.text}", remark.facts) for remark in found.remarks]
        self.settings[kind.item] = Setting(kind.item, found.value, place, kind.code, facts)
        if kind.item is Item.SERVER:
            self.other_servers = found.others
            if found.port is not None:
                self.settings[Item.PORT] = Setting(Item.PORT, str(found.port), place, kind.code, ("NP16",))


def _named(place: Place, code: int) -> str:
    return f"option {code}" if place is Place.GLOBAL else f"sub-option {code} of option 43"
