# SPDX-License-Identifier: Apache-2.0
"""What DHCP says about names: whom to ask (option 6), and below which domains to look (options 119 and 15; D1).

Provenance: standard (RFC 2132 sections 3.8 and 3.17, RFC 3397). Option 119 beats 15, and several domains in 15 are
taken apart at spaces: both as the script of ISC dhclient does it (D10). What cannot be read is left out.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from umslab_protocol.errors import InvalidValueError
from umslab_protocol.values.host_port import parse_host
from umslab_protocol.wire.dhcp_options import Code, MalformedDhcpError, read_addresses, read_text

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from ipaddress import IPv4Address

    from umslab_protocol.wire.dhcp_options import Option

MAX_DOMAINS = 32
MAX_NAME_BYTES = 255  # RFC 1035 section 2.3.4
_POINTER = 0xC0  # RFC 1035 section 4.1.4


def nameservers(options: Sequence[Option]) -> tuple[IPv4Address, ...]:
    """The name servers of a lease, in their order."""
    option = _find(options, Code.DNS_SERVERS)
    try:
        return () if option is None else read_addresses(option)
    except MalformedDhcpError:
        return ()


def search_domains(options: Sequence[Option]) -> tuple[str, ...]:
    """The search domains of a lease, in their order."""
    listed, single = _find(options, Code.DOMAIN_SEARCH), _find(options, Code.DOMAIN_NAME)
    found = () if listed is None else _usable(_read_list(listed.value))
    if found or single is None:
        return found
    return _usable(read_text(single).split())


def _find(options: Iterable[Option], code: int) -> Option | None:
    return next((option for option in options if option.code == code), None)


def _usable(names: Iterable[str]) -> tuple[str, ...]:
    found: dict[str, None] = {}
    for name in names:
        try:
            found[parse_host(name.rstrip(".")).lower()] = None
        except InvalidValueError:
            continue
    return tuple(found)[:MAX_DOMAINS]


def _read_list(data: bytes) -> list[str]:
    """The names of option 119, as many as can be read (RFC 3397 section 2)."""
    names: list[str] = []
    at = 0
    while at < len(data) and len(names) < MAX_DOMAINS:
        labels, end = _read_name(data, at)
        if labels is None:
            break
        names.append(b".".join(labels).decode("latin-1"))
        at = end
    return names


def _read_name(data: bytes, at: int) -> tuple[list[bytes] | None, int]:
    """One name and where the next one begins; None for one that cannot be read. Pointers lead backwards only."""
    labels: list[bytes] = []
    end, before, size = 0, at, 0
    while at < len(data):
        length = data[at]
        if length == 0:
            return labels, end or at + 1
        if length & _POINTER == _POINTER and at + 1 < len(data):
            target = (length & ~_POINTER) << 8 | data[at + 1]
            if target >= before:
                break
            end, at, before = end or at + 2, target, target
            continue
        size += length + 1
        if length & _POINTER or size > MAX_NAME_BYTES or at + 1 + length > len(data):
            break
        labels.append(data[at + 1 : at + 1 + length])
        at += 1 + length
    return None, at
