# SPDX-License-Identifier: Apache-2.0
"""What IGEL OS makes of a set of options, in sentences with facts, and as JSON."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from umslab_protocol.errors import InvalidValueError
from umslab_protocol.values.firmware import FirmwareVersion
from umslab_protocol.wire.igel_dhcp import IgelView, Item, Setting

if TYPE_CHECKING:
    from umslab.dhcp.samples import Sample
    from umslab_protocol.wire.igel_dhcp_values import Remark

NEWEST = {11: FirmwareVersion(11, 11, 150), 12: FirmwareVersion(12, 10, 0)}
"""The newest of which our notes know (section 0.3)."""
_WHAT = {
    Item.SERVER: "as its UMS",
    Item.TAG: "as its structure tag",
    Item.PORT: "as the port of its UMS",
    Item.AUTH_KEY: "as its first-authentication key",
    Item.CA_HASH: "as the hash of the CA to trust",
}
_MASK = "***"


def parse_firmware(text: str) -> FirmwareVersion:
    """Read a version; `12`, `12.x`, `11` and `11.x` mean the newest one known of that line."""
    line = text.removesuffix(".x")
    if line.isdecimal() and line.isascii():
        if int(line) in NEWEST:
            return NEWEST[int(line)]
        if text != line:
            raise InvalidValueError(f"{text[:40]!r} is not a firmware: expected one such as 12.x, 11.x or 12.8.4")
    return FirmwareVersion.parse(text)


def sentences(sample: Sample, view: IgelView) -> list[str]:
    """What a person should know, most important first."""
    told = [f"IGEL OS {view.firmware}, {sample.title}:"]
    if Item.SERVER not in view.settings:
        told.append("It finds no UMS in these options and goes on with the name igelrmserver in DNS (D1, D16).")
    told += [
        f"It takes {_shown(setting)} {_WHAT[setting.item]}, from {setting.source}{_facts(setting.facts)}."
        for setting in view.settings.values()
    ]
    if view.exclusive:
        told.append("Option 43 is exclusive: options 224 and 226 outside of it do not count (D5).")
    told += [f"{_sentence(remark)}." for remark in view.reasons]
    told += [f"Warning: {_phrase(remark)}." for remark in view.warnings]
    if view.other_servers:
        told.append(f"Further addresses in the list: {', '.join(view.other_servers)}.")
    told += [f"Note: {text}." for text in sample.remarks]
    return told


def document(sample: Sample, view: IgelView) -> dict[str, Any]:
    """The same for machines; without the options themselves when a secret is among them."""
    return {
        "source": sample.title,
        "firmware": str(view.firmware),
        "server": view.value(Item.SERVER),
        "tag": view.value(Item.TAG),
        "exclusive": view.exclusive,
        "settings": [
            {
                "item": setting.item,
                "value": _shown(setting),
                "place": setting.place,
                "code": int(setting.code),
                "facts": list(setting.facts),
            }
            for setting in view.settings.values()
        ],
        "otherServers": list(view.other_servers),
        "reasons": [_remark(remark) for remark in view.reasons],
        "warnings": [_remark(remark) for remark in view.warnings],
        "notes": list(sample.remarks),
        "options": [
            {"code": option.code, "hex": option.value.hex()}
            for option in sample.options
            if Item.AUTH_KEY not in view.settings
        ],
    }


def _remark(remark: Remark) -> dict[str, Any]:
    return {"text": remark.text, "facts": list(remark.facts)}


def _shown(setting: Setting) -> str:
    """A value, unless it is a secret."""
    return _MASK if setting.item is Item.AUTH_KEY else setting.value


def _sentence(remark: Remark) -> str:
    text = _phrase(remark)
    return text[:1].upper() + text[1:]


def _phrase(remark: Remark) -> str:
    return remark.text + _facts(remark.facts)


def _facts(facts: tuple[str, ...]) -> str:
    return f" ({', '.join(facts)})" if facts else ""
