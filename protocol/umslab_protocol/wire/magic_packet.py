# SPDX-License-Identifier: Apache-2.0
"""Magic packets, which switch a sleeping machine on (WL1).

Provenance: standard (AMD, Magic Packet Technology, publication 20213): anywhere in a datagram, six bytes FF and then 16
times the MAC address. That the UMS sends them to UDP 9 is documented (P15, WL1); without a password, which the vendor
does not mention.
"""

from __future__ import annotations

import re

from umslab_protocol.values.unit_id import MacAddress

WAKE_PORT = 9
"""P15, WL1."""
_BEGIN = b"\xff" * 6
_TIMES = 16
_PACKET = re.compile(rb"\xff{6}((?!\xff).{6})\1{15}", re.DOTALL)  # FF would be the MAC of a group, not of a machine


def write_magic_packet(mac: MacAddress) -> bytes:
    """Return the packet that wakes the machine with this MAC address."""
    return _BEGIN + bytes.fromhex(mac) * _TIMES


def woken_by(payload: bytes) -> MacAddress | None:
    """Return the MAC address that a datagram wakes, or None when it is no magic packet."""
    found = _PACKET.search(payload)
    return None if found is None else MacAddress(found.group(1).hex().upper())
