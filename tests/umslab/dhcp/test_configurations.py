# SPDX-License-Identifier: Apache-2.0
"""Tests of umslab.dhcp.configurations; tests/foreign/test_dhcp_encode.py shows them to the real servers."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest

from umslab.dhcp.configurations import Scope, ServerKind, Wanted, configuration
from umslab.dhcp.samples import read_samples
from umslab_protocol.errors import InvalidValueError
from umslab_protocol.values.firmware import DEFAULT_FIRMWARE
from umslab_protocol.wire.igel_dhcp import Item, interpret

FULL = Wanted("192.0.2.10", "HQ", exclusive=True)


def _lines(wanted: Wanted, kind: ServerKind) -> list[str]:
    return [line for line in configuration(wanted, kind).splitlines() if not re.match(r"#|//", line)]


def test_dnsmasq() -> None:
    """Quotes make texts of addresses; 1b is one byte."""
    assert [
        'dhcp-option=224,"192.0.2.10"',
        'dhcp-option=226,"HQ"',
        "dhcp-option=vendor:igel-dhcp-1,1,1b",
        'dhcp-option=vendor:igel-dhcp-1,224,"192.0.2.10"',
        'dhcp-option=vendor:igel-dhcp-1,226,"HQ"',
    ] == _lines(FULL, ServerKind.DNSMASQ)


def test_windows() -> None:
    """Strings, a byte, and the vendor class; apostrophes are doubled."""
    lines = _lines(Wanted("ums", "Bob's", exclusive=True), ServerKind.WINDOWS)

    assert "Set-DhcpServerv4OptionValue -OptionId 226 -Value 'Bob''s'" in lines
    assert "Set-DhcpServerv4OptionValue -VendorClass igel-dhcp-1 -OptionId 1 -Value 1" in lines
    assert "Add-DhcpServerv4Class -Name igel-dhcp-1 -Type Vendor -Data igel-dhcp-1" in lines
    assert "were not tested" in configuration(FULL, ServerKind.WINDOWS)


def test_kea_is_json() -> None:
    """Below its comments; odd texts go as bytes."""
    document: dict[str, Any] = json.loads("\n".join(_lines(Wanted("ums", "HQ, Berlin"), ServerKind.KEA)))
    (_, tag) = document["Dhcp4"]["option-data"]

    assert {"name": "umsstructuretag", "space": "dhcp4", "csv-format": False, "data": b"HQ, Berlin".hex()} == tag
    assert "option[60].text == 'igel-dhcp-1'" == document["Dhcp4"]["client-classes"][0]["test"]


def test_dhcpd_quotes() -> None:
    """Backslashes and quotation marks inside a text."""
    assert r'option umsstructuretag "a\\\"b";' in _lines(Wanted("ums", 'a\\"b'), ServerKind.DHCPD)


def test_hex_is_what_decode_reads() -> None:
    """One of our verbs understands the other."""
    (sample,) = read_samples(configuration(FULL, ServerKind.HEX).encode()).found
    view = interpret(sample.options, DEFAULT_FIRMWARE)

    assert ("192.0.2.10", "HQ", True) == (view.value(Item.SERVER), view.value(Item.TAG), view.exclusive)
    assert "43 = 01:01:01:e0:0a:31:39:32:2e:30:2e:32:2e:31:30:e2:02:48:51" in _lines(FULL, ServerKind.HEX)


@pytest.mark.parametrize("kind", ServerKind)
def test_scopes_and_facts(kind: ServerKind) -> None:
    """Either half alone; comments cite the facts."""
    everything, globally, vendor = (
        configuration(Wanted("ums", "HQ", scope=scope), kind) for scope in (Scope.BOTH, Scope.GLOBAL, Scope.VENDOR)
    )

    assert "igel-dhcp-1" not in globally
    assert "(D2)" not in vendor
    assert set(globally.splitlines()) - set(everything.splitlines()) <= {"}", *globally.splitlines()}
    assert {"D2", "D3", "D4", "D6", "D7"} <= set(re.findall(r"D\d", everything))
    assert "D5" in configuration(FULL, kind)
    assert "D5" not in everything


@pytest.mark.parametrize(
    ("arguments", "word"),
    [
        ({"server": ""}, "neither a host name"),
        ({"server": "a b"}, "neither a host name"),
        ({"server": "ums:8443"}, "neither a host name"),
        ({"server": "ums", "tag": "x" * 101}, "100"),
        ({"server": "ums", "tag": "a\nb"}, "printable"),
        ({"server": "ums", "tag": " HQ"}, "white space"),
        ({"server": "ums", "exclusive": True, "scope": Scope.GLOBAL}, "option 43"),
        ({"server": ".".join(["x" * 50] * 4), "tag": "x" * 60}, "255"),
    ],
)
def test_what_no_device_could_use(arguments: dict[str, Any], word: str) -> None:
    """Refused before an administrator pastes it."""
    with pytest.raises(InvalidValueError, match=word):
        Wanted(**arguments)
