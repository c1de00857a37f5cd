# SPDX-License-Identifier: Apache-2.0
"""The ports of the IGEL world as a firewall administrator needs them (facts P1-P23, section 1.1 of our notes)."""

from __future__ import annotations

from dataclasses import dataclass

from umslab_protocol.errors import InvalidValueError

BOTH = (11, 12)
GENERATIONS = BOTH


@dataclass(frozen=True, slots=True)
class Port:
    """One row of the table: who opens the connection, to whom, where, for what."""

    fact: str
    port: str
    protocol: str
    source: str
    destination: str
    use: str
    generations: tuple[int, ...] = ()
    """Which IGEL OS needs it; empty: it is between servers and people, whatever the devices are."""


PORTS: tuple[Port, ...] = (
    Port("P1", "8443", "TCP, TLS 1.3", "device", "UMS", "all of OS 12: on board (EST), then one WebSocket", (12,)),
    Port(
        "P2", "8443", "TCP, TLS", "device", "UMS", "files: settings, certificates, firmware (in umslab: 30003)", (11,)
    ),
    Port("P3", "8443", "TCP, TLS", "device", "UMS", "apps, where the UMS is the update proxy (/ums-appproxy/)", (12,)),
    Port("P7", "30001", "TCP, TLS 1.2", "device", "UMS", "registration, settings, status; can be changed", (11,)),
    Port("P10", "30005", "TCP", "UMS", "device", "the UMS pushes commands and settings", (11,)),
    Port("P9", "30005", "UDP", "UMS", "device", "online check and scan; OS 12: discovery only (T11)", BOTH),
    Port("P11", "any free, or fixed", "UDP", "device", "UMS", "answers to the online check", BOTH),
    Port("P12", "any free, or fixed", "UDP", "device", "UMS", "answers to the scan", BOTH),
    Port("P13", "30022", "TCP", "UMS", "device", "secure terminal; OS 12: in its WebSocket (T9)", (11,)),
    Port("P14", "5900", "TCP", "UMS, console", "device", "shadowing (VNC); OS 12: in its WebSocket (T9)", (11,)),
    Port("P15", "9", "UDP", "UMS", "device", "wake on LAN, also as broadcast", BOTH),
    Port("P16", "9080", "TCP", "device", "UMS", "old file transfer without TLS", (11,)),
    Port("P18", "8443 or 443", "TCP, TLS", "device, UMS", "ICG", "Cloud Gateway; 443 since ICG 2.02", BOTH),
    Port(
        "P23", "30006, 7000, 7001", "TCP", "device", "itself (127.0.0.1)", "inside the device: nothing to open", (11,)
    ),
    Port("P4", "8443", "TCP, TLS 1.2-1.3", "browser", "UMS", "web page (/webapp/, /wums-app/)"),
    Port("P5", "8443", "TCP, TLS", "UMS console", "UMS", "console; needs all paths"),
    Port("P6", "8443", "TCP, TLS", "API client", "UMS", "REST interface IMI (/umsapi/)"),
    Port("P8", "30002", "TCP", "load balancer", "UMS", "the UMS behind a load balancer on its machine"),
    Port("P17", "443", "TCP, TLS", "UMS", "the vendor's cloud", "app portal, onboarding, licences, firmware"),
    Port("P19", "6155", "UDP broadcast", "UMS", "UMS", "high availability"),
    Port("P20", "61616", "TCP, UDP broadcast", "UMS", "UMS", "high availability: messages (ActiveMQ)"),
    Port("P21", "88; 389, 636", "TCP, UDP; TCP", "UMS", "Active Directory", "Kerberos; LDAP and LDAPS"),
    Port("P22", "1433, 1521, 1527, 5432", "TCP", "UMS", "database", "MSSQL, Oracle, Derby, PostgreSQL"),
)


def parse_generations(text: str) -> tuple[int, ...]:
    """Read `11`, `12` or `11,12`; raises `InvalidValueError`."""
    parts = [part.strip() for part in text.split(",")]
    if not all(part in {str(one) for one in GENERATIONS} for part in parts):
        raise InvalidValueError(f"{text[:40]!r} is not 11, 12 or 11,12")
    return tuple(one for one in GENERATIONS if str(one) in parts)


def ports_for(generations: tuple[int, ...]) -> list[Port]:
    """The rows that these generations need, then those that are needed whatever the devices are."""
    return [row for row in PORTS if not row.generations or set(row.generations) & set(generations)]
