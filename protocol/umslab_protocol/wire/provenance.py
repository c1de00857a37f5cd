# SPDX-License-Identifier: Apache-2.0
"""Where each wire format comes from, as data, so that documents and reports can print it."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Provenance(StrEnum):
    """How a format came to be."""

    DOCUMENTED = "documented"
    """Published by the vendor or its community."""
    STANDARD = "standard"
    """An RFC or other public standard."""
    SIMULATED = "simulated"
    """Ours: the vendor does not publish it, so nobody may take it for the vendor's."""
    BORROWED = "borrowed"
    """Another product's idea."""


@dataclass(frozen=True, slots=True)
class FormatSource:
    """One format and its source."""

    name: str
    provenance: Provenance
    source: str


FORMATS: tuple[FormatSource, ...] = (
    FormatSource("URL paths below /device-connector", Provenance.DOCUMENTED, "E1-E5"),
    FormatSource("EST cacerts, csrattrs, simpleenroll, simplereenroll", Provenance.STANDARD, "RFC 7030, 8951, 9908"),
    FormatSource("PEM armour around cacerts", Provenance.DOCUMENTED, "X4 (implied by a community script, not stated)"),
    FormatSource("first-authentication key as HTTP Basic password", Provenance.SIMULATED, "X6, NP10"),
    FormatSource("subject and profile of the device certificate", Provenance.SIMULATED, "X14, NP11"),
    FormatSource("WebSocket opening and frames", Provenance.STANDARD, "RFC 6455"),
    FormatSource("messages on the WebSocket", Provenance.SIMULATED, "NP6"),
    FormatSource("refusals of ws-connect", Provenance.SIMULATED, "L7, NP18"),
    FormatSource("ids of requests, header Umslab-Request", Provenance.SIMULATED, "NP31"),
    FormatSource("online check and scan on UDP 30005, scan on TCP 30005", Provenance.SIMULATED, "NP1, NP2"),
    FormatSource("magic packets on UDP 9", Provenance.STANDARD, "AMD 20213; WL1"),
    FormatSource("authentication token of automatic registration", Provenance.SIMULATED, "A6, NP12"),
    FormatSource("frames and greeting on TCP 30001 and 30005", Provenance.SIMULATED, "G19, NP3-NP5"),
    FormatSource("TCP port 30003 and tickets for files of OS 11", Provenance.SIMULATED, "E7, FU1, NP3"),
    FormatSource("proof that a server was started for load", Provenance.SIMULATED, "NP32"),
    FormatSource("/ums/check-status", Provenance.DOCUMENTED, "E10, ST1, ST2"),
    FormatSource("/info", Provenance.DOCUMENTED, "E11 (product name text)"),
    FormatSource("A record igelrmserver", Provenance.DOCUMENTED, "D1, D8"),
    FormatSource("DNS-SD over multicast DNS", Provenance.STANDARD, "RFC 6762, 6763"),
    FormatSource("service type and TXT of a UMS in mDNS", Provenance.SIMULATED, "D18, NP16"),
    FormatSource("DHCP messages and options", Provenance.STANDARD, "RFC 2131, 2132, 3396"),
    FormatSource("DHCP options 224, 226 and 43 of the class igel-dhcp-1", Provenance.DOCUMENTED, "D2-D7"),
    FormatSource("DHCP options for port, key and CA hash", Provenance.SIMULATED, "D11, NP15"),
)
