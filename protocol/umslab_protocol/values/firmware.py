# SPDX-License-Identifier: Apache-2.0
"""Firmware versions and the documented behaviour that depends on them.

One table: each row names the behaviour, the first IGEL OS version that has it, and the fact it comes from. Code asks
`behaves(version, Behaviour.X)` and never compares versions itself.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import Enum

from umslab_protocol.errors import InvalidValueError


@dataclass(frozen=True, slots=True, order=True)
class FirmwareVersion:
    """An IGEL OS version such as 12.8.4 or 12.01.110; missing parts count as 0."""

    major: int
    minor: int = 0
    patch: int = 0

    @classmethod
    def parse(cls, text: str) -> FirmwareVersion:
        """Read `MAJOR[.MINOR[.PATCH]]`; raise `InvalidValueError` otherwise."""
        if not re.fullmatch(r"[0-9]{1,4}(\.[0-9]{1,4}){0,2}", text, re.ASCII):
            raise InvalidValueError(f"{text[:40]!r} is not a firmware version: expected one such as 12.8.4")
        return cls(*(int(part) for part in text.split(".")))

    def __str__(self) -> str:
        return f"{self.major}.{self.minor}.{self.patch}"


class Behaviour(Enum):
    """What a firmware does: (first version, fact number, one sentence)."""

    DHCP_VENDOR_CLASS = ((11, 4, 100), "D3", "sends the DHCP vendor class igel-dhcp-1 and understands option 43")
    UNIFIED_PROTOCOL = ((12, 0, 0), "0.3", "speaks the Unified Protocol over 8443")
    REPORTS_SERIAL_AT_FIRST_CONTACT = ((12, 2, 0), "W22", "reports its serial number in the first contact")
    COMPLETES_PUBLIC_CHAINS = ((12, 3, 0), "C31", "completes a public-CA chain from its built-in store")
    PINS_PUBLIC_ROOTS = ((12, 3, 0), "C32", "adds the public root involved to its trusted bundle")
    DEVICE_COMMANDS = ((12, 3, 0), "5.3", "carries out device-specific commands")
    CHOOSES_KEY_TYPE = ((12, 3, 2), "X7", "has a registry key for the device key type, RSA 4096 by default")
    REPORTS_LOG_ONS = ((12, 4, 0), "5.3", "can report users that log on and off")
    RENEWS_RELIABLY = ((12, 4, 1), "X9", "renews its certificate reliably")
    RANKS_CONNECTORS = ((12, 4, 1), "W7", "has a registry key for the ranking of connectors")
    REGISTRY_STRUCTURE_TAG = ((12, 5, 0), "6.2", "has a registry key for the structure tag")
    REGISTRY_CONNECT_TIMEOUT = ((12, 5, 1), "W10", "has a registry key for the connect timeout, 45 s by default")
    REMEMBERS_CONNECTORS = ((12, 6, 0), "W8", "keeps the last successful addresses as a fallback list")
    WAKES_OTHERS = ((12, 6, 0), "WL4", "can send magic packets for the UMS")
    REPORTS_ASSETS = ((12, 6, 1), "AI3", "reports assets that come and go")
    IGELRMSERVER_FALLBACK = ((12, 6, 1), "W9", "can fall back to the name igelrmserver")
    DHCP_SERVER_DETAILS = ((12, 7, 2), "D11", "knows DHCP options for port, key and CA hash (codes unpublished)")
    DHCP_VENDOR_FIXED = ((12, 7, 6), "D12", "reads DHCP option 43 without a bug that OS 12 had")
    RELEASE_RULE = ((12, 8, 4), "L5", "drops its registration only after the release delay")

    @property
    def since(self) -> FirmwareVersion:
        """The first version that behaves so."""
        return FirmwareVersion(*self.value[0])

    @property
    def fact(self) -> str:
        """The number of the fact in docs/facts.md."""
        return self.value[1]

    @property
    def sentence(self) -> str:
        """What it does, for people."""
        return self.value[2]


def behaves(version: FirmwareVersion, behaviour: Behaviour) -> bool:
    """Tell whether a firmware of this version has this documented behaviour."""
    return version >= behaviour.since


DEFAULT_FIRMWARE = FirmwareVersion(12, 8, 4)
DEFAULT_OS11_FIRMWARE = FirmwareVersion(11, 10, 210)
