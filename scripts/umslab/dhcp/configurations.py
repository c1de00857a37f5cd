# SPDX-License-Identifier: Apache-2.0
"""What an administrator pastes into a DHCP server so that IGEL OS finds its UMS.

Options 224 and 226 for everybody (D2, D7), option 43 for the vendor class igel-dhcp-1 (D3, D4, D6). dnsmasq, dhcpd and
Kea are tested with the real programs (tests/foreign/test_dhcp_encode.py); the lines for Windows are not.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Any

from umslab_protocol.errors import InvalidValueError
from umslab_protocol.values.host_port import parse_host
from umslab_protocol.values.structure_tag import parse_structure_tag
from umslab_protocol.wire.dhcp_options import MAX_PIECE_BYTES, Code, Option
from umslab_protocol.wire.igel_dhcp import EXCLUSIVE, VENDOR_CLASS, vendor_payload

if TYPE_CHECKING:
    from collections.abc import Callable

_CLASS = VENDOR_CLASS.decode()
_NAMES = {EXCLUSIVE: "exclusive", Code.IGEL_SERVER: "igelrmserver", Code.IGEL_STRUCTURE_TAG: "umsstructuretag"}


class ServerKind(StrEnum):
    """For which DHCP server."""

    DNSMASQ = "dnsmasq"
    DHCPD = "dhcpd"
    KEA = "kea"
    WINDOWS = "windows"
    HEX = "hex"


class Scope(StrEnum):
    """For whom: by options 224 and 226, by option 43, or both."""

    BOTH = "both"
    GLOBAL = "global"
    VENDOR = "vendor"


@dataclass(frozen=True, slots=True)
class Wanted:
    """What devices are to be told; raises `InvalidValueError` for what no device could use."""

    server: str
    tag: str = ""
    exclusive: bool = False
    scope: Scope = Scope.BOTH

    def __post_init__(self) -> None:
        parse_host(self.server)
        parse_structure_tag(self.tag)
        if self.tag != self.tag.strip():
            raise InvalidValueError("a structure tag has no white space around it: devices may or may not trim it")
        if self.exclusive and self.scope is Scope.GLOBAL:
            raise InvalidValueError('"exclusive" is a part of option 43 (D5): it needs --scope both or vendor')
        if len(self.payload) > MAX_PIECE_BYTES:
            raise InvalidValueError(f"option 43 would have {len(self.payload)} bytes; one option has room for 255")

    @property
    def payload(self) -> bytes:
        """The bytes of option 43."""
        return vendor_payload(server=self.server, tag=self.tag, exclusive=self.exclusive)

    @property
    def texts(self) -> list[tuple[int, str]]:
        """Options with a text, the same inside option 43 and outside."""
        tag = [(int(Code.IGEL_STRUCTURE_TAG), self.tag)] if self.tag else []
        return [(int(Code.IGEL_SERVER), self.server), *tag]

    @property
    def globally(self) -> bool:
        """Whether options 224 and 226 are wanted."""
        return self.scope is not Scope.VENDOR

    @property
    def for_vendor(self) -> bool:
        """Whether option 43 is wanted."""
        return self.scope is not Scope.GLOBAL

    def options(self) -> list[Option]:
        """What a device that asks for everything is to get."""
        inside = [Option(Code.VENDOR_SPECIFIC, self.payload)] if self.for_vendor else []
        return inside + ([Option(code, text.encode()) for code, text in self.texts] if self.globally else [])


def configuration(wanted: Wanted, kind: ServerKind) -> str:
    """Return the text to paste, with comments that say what it does and where that is written."""
    return _WRITERS[kind](wanted)


_GLOBAL_COMMENT = "For every device: igelrmserver, the UMS, as text (D2); umsstructuretag as text (D7)."


def _vendor_comment(wanted: Wanted) -> str:
    exclusive = " Exclusive: global options 224 and 226 do not count (D5)." if wanted.exclusive else ""
    return f"For IGEL OS 11.04.100 and newer, which says {_CLASS} (D3): the same inside option 43 (D4, D6).{exclusive}"


def _dnsmasq(wanted: Wanted) -> str:
    lines = ["# dnsmasq.conf"]
    if wanted.globally:
        lines += [
            f"# {_GLOBAL_COMMENT}",
            *(f"dhcp-option={code},{_dnsmasq_text(text)}" for code, text in wanted.texts),
        ]
    if wanted.for_vendor:
        lines += [f"# {_vendor_comment(wanted)}"]
        lines += [f"dhcp-option=vendor:{_CLASS},{EXCLUSIVE},1b"] if wanted.exclusive else []
        lines += [f"dhcp-option=vendor:{_CLASS},{code},{_dnsmasq_text(text)}" for code, text in wanted.texts]
    return "\n".join(lines) + "\n"


def _dnsmasq_text(text: str) -> str:
    """Quotes keep dnsmasq from sending an address as four bytes; what quotes do not carry goes as bytes."""
    return text.encode().hex(":") if re.search(r'["\\]', text) else f'"{text}"'


def _dhcpd(wanted: Wanted) -> str:
    lines = ["# dhcpd.conf, outside of any subnet"]
    if wanted.globally:
        lines.append(f"# {_GLOBAL_COMMENT}")
        for code, text in wanted.texts:
            lines += [f"option {_NAMES[code]} code {code} = text;", f"option {_NAMES[code]} {_quoted(text)};"]
    if wanted.for_vendor:
        lines += [f"# {_vendor_comment(wanted)}", "option space igel;"]
        lines += [f"option igel.exclusive code {EXCLUSIVE} = unsigned integer 8;"] if wanted.exclusive else []
        lines += [f"option igel.{_NAMES[code]} code {code} = text;" for code, _ in wanted.texts]
        lines += [f'class "{_CLASS}" {{', f'  match if option vendor-class-identifier = "{_CLASS}";']
        lines += ["  vendor-option-space igel;"]
        lines += ["  option igel.exclusive 1;"] if wanted.exclusive else []
        lines += [f"  option igel.{_NAMES[code]} {_quoted(text)};" for code, text in wanted.texts]
        lines += ["}"]
    return "\n".join(lines) + "\n"


def _quoted(text: str) -> str:
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'


def _kea(wanted: Wanted) -> str:
    comments = ["// kea-dhcp4.conf: put these members into its Dhcp4"]
    definitions: list[dict[str, Any]] = []
    dhcp4: dict[str, Any] = {"option-def": definitions}
    if wanted.globally:
        comments.append(f"// {_GLOBAL_COMMENT}")
        definitions += [_kea_definition(code, "dhcp4", "string") for code, _ in wanted.texts]
        dhcp4["option-data"] = [_kea_text(code, "dhcp4", text) for code, text in wanted.texts]
    if wanted.for_vendor:
        comments.append(f"// {_vendor_comment(wanted)}")
        definitions += [_kea_definition(EXCLUSIVE, "igel", "uint8")] if wanted.exclusive else []
        definitions += [_kea_definition(code, "igel", "string") for code, _ in wanted.texts]
        dhcp4["client-classes"] = [_kea_class(wanted)]
    return "\n".join([*comments, json.dumps({"Dhcp4": dhcp4}, indent=2, ensure_ascii=False)]) + "\n"


def _kea_class(wanted: Wanted) -> dict[str, Any]:
    exclusive = [{"name": "exclusive", "space": "igel", "data": "1"}] if wanted.exclusive else []
    option43 = {"name": "vendor-encapsulated-options", "code": int(Code.VENDOR_SPECIFIC)}
    return {
        "name": _CLASS,
        "test": f"option[60].text == '{_CLASS}'",
        "option-def": [option43 | {"type": "empty", "encapsulate": "igel"}],
        "option-data": [option43, *exclusive, *(_kea_text(code, "igel", text) for code, text in wanted.texts)],
    }


def _kea_definition(code: int, space: str, kind: str) -> dict[str, Any]:
    return {"name": _NAMES[code], "code": code, "space": space, "type": kind}


def _kea_text(code: int, space: str, text: str) -> dict[str, Any]:
    """Kea splits texts at commas and trims them; anything but plain characters goes as bytes."""
    option = {"name": _NAMES[code], "space": space}
    if re.fullmatch(r"[A-Za-z0-9._-]+", text, re.ASCII):
        return option | {"data": text}
    return option | {"csv-format": False, "data": text.encode().hex()}


def _windows(wanted: Wanted) -> str:
    lines = ["# PowerShell on the DHCP server; once for the server, for one scope add -ScopeId to the Set- lines"]
    lines.append("# These lines were not tested by umslab.")
    if wanted.globally:
        lines.append(f"# {_GLOBAL_COMMENT}")
        for code, text in wanted.texts:
            lines += [
                f"Add-DhcpServerv4OptionDefinition -OptionId {code} -Name {_NAMES[code]} -Type String",
                f"Set-DhcpServerv4OptionValue -OptionId {code} -Value {_powershell(text)}",
            ]
    if wanted.for_vendor:
        lines.append(f"# {_vendor_comment(wanted)}")
        lines.append(f"Add-DhcpServerv4Class -Name {_CLASS} -Type Vendor -Data {_CLASS}")
        rows = [(EXCLUSIVE, "Byte", "1")] if wanted.exclusive else []
        rows += [(code, "String", _powershell(text)) for code, text in wanted.texts]
        for code, kind, value in rows:
            to = f"-VendorClass {_CLASS} -OptionId {code}"
            lines += [
                f"Add-DhcpServerv4OptionDefinition {to} -Name {_NAMES[code]} -Type {kind}",
                f"Set-DhcpServerv4OptionValue {to} -Value {value}",
            ]
    return "\n".join(lines) + "\n"


def _powershell(text: str) -> str:
    """PowerShell takes typographic quotation marks for quotes too, so all of them are doubled."""
    return "'" + re.sub("(['\u2018\u2019\u201a\u201b])", r"\1\1", text) + "'"


def _hex(wanted: Wanted) -> str:
    lines = ["# code = bytes"]
    if wanted.globally:
        lines += [f"# {_GLOBAL_COMMENT}", *(f"{code} = {text.encode().hex(':')}" for code, text in wanted.texts)]
    if wanted.for_vendor:
        lines += [f"# {_vendor_comment(wanted)}", f"{int(Code.VENDOR_SPECIFIC)} = {wanted.payload.hex(':')}"]
    return "\n".join(lines) + "\n"


_WRITERS: dict[ServerKind, Callable[[Wanted], str]] = {
    ServerKind.DNSMASQ: _dnsmasq,
    ServerKind.DHCPD: _dhcpd,
    ServerKind.KEA: _kea,
    ServerKind.WINDOWS: _windows,
    ServerKind.HEX: _hex,
}
