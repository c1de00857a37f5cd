# SPDX-License-Identifier: Apache-2.0
"""Ranges of IPv4 addresses as people type them: for scans (N11) and for the subnets of Wake-on-LAN (WL2)."""

from __future__ import annotations

import re
from ipaddress import AddressValueError, IPv4Address, IPv4Network, NetmaskValueError
from typing import TYPE_CHECKING

from umslab_protocol.errors import InvalidValueError

if TYPE_CHECKING:
    from collections.abc import Iterable

MAX_ADDRESSES = 65_536
"""In all ranges of one scan."""
WAKE_PREFIXES = range(8, 29)  # WL2


def parse_ranges(texts: Iterable[str]) -> list[IPv4Address]:
    """Return the addresses of `192.0.2.7`, `192.0.2.0/24`, `192.0.2.7-192.0.2.30` and `192.0.2.7-30`, each once.

    A network stands for its hosts, without network and broadcast address. Raises `InvalidValueError`.
    """
    found: dict[IPv4Address, None] = {}
    for text in texts:
        for number in _numbers(text):
            found[IPv4Address(number)] = None
        if len(found) > MAX_ADDRESSES:
            raise InvalidValueError(f"these ranges have more than {MAX_ADDRESSES} addresses: scan them one by one")
    return list(found)


def parse_subnet(text: str) -> IPv4Network:
    """Return a subnet to wake devices in, /8 to /28 (WL2), or raise `InvalidValueError`."""
    network = _network(text)
    if network.prefixlen not in WAKE_PREFIXES:
        raise InvalidValueError(f"{text[:40]!r}: a subnet to wake devices in is /8 to /28")
    return network


def _numbers(text: str) -> range:
    if "/" in text:
        network = _network(text)
        first, last = int(network.network_address), int(network.broadcast_address)
        numbers = range(first, last + 1) if network.prefixlen > 30 else range(first + 1, last)
    else:
        first_text, dash, last_text = text.partition("-")
        first = int(_address(first_text, text))
        if not dash:
            last = first
        elif re.fullmatch(r"[0-9]{1,3}", last_text, re.ASCII) and int(last_text) <= 255:
            last = first & ~0xFF | int(last_text)
        else:
            last = int(_address(last_text, text))
        numbers = range(first, last + 1)
    if not numbers:
        raise InvalidValueError(f"{text[:40]!r} ends before it begins")
    if len(numbers) > MAX_ADDRESSES:
        raise InvalidValueError(f"{text[:40]!r} has more than {MAX_ADDRESSES} addresses: scan a smaller range")
    return numbers


def _network(text: str) -> IPv4Network:
    try:
        if not re.fullmatch(r"[0-9.]+/[0-9]{1,2}", text, re.ASCII):
            raise AddressValueError(text)
        return IPv4Network(text, strict=False)
    except (AddressValueError, NetmaskValueError):
        raise InvalidValueError(f"{text[:40]!r} is not a network such as 192.0.2.0/24") from None


def _address(part: str, text: str) -> IPv4Address:
    try:
        return IPv4Address(part)
    except AddressValueError:
        raise InvalidValueError(
            f"{text[:40]!r} is not a range: expected 192.0.2.7, 192.0.2.0/24, 192.0.2.7-30 or 192.0.2.7-192.0.2.30"
        ) from None
