# SPDX-License-Identifier: Apache-2.0
"""The names a server certificate carries, and whether they cover a host.

Provenance: documented contents (C2, C6, C11: every address, FQDN and short name a device may use; T17: always
`localhost`), standard matching (RFC 9525: subjectAltName only, never the common name; a wildcard stands for the whole
left-most label).
"""

from __future__ import annotations

from ipaddress import IPv4Address, IPv6Address, ip_address
from typing import TYPE_CHECKING

from cryptography import x509

from umslab_certs.chain import extension
from umslab_certs.errors import CertificateError, Fault
from umslab_protocol.errors import InvalidValueError
from umslab_protocol.values.host_port import parse_host

if TYPE_CHECKING:
    from collections.abc import Iterable

ALWAYS = "localhost"  # T17


def subject_names(names_and_addresses: Iterable[str]) -> x509.SubjectAlternativeName:
    """Make the subjectAltName of a server: what parses as an IP address is one, everything else is a DNS name.

    Order and spelling are kept (S8: IGEL compares host names case-sensitively), doubles are dropped, `localhost` is
    added when it is missing. Raises `CertificateError` (BAD_NAME) for what is neither a host name nor an address.
    """
    return x509.SubjectAlternativeName(dict.fromkeys(_general_name(text) for text in (*names_and_addresses, ALWAYS)))


def covers(certificate: x509.Certificate, host: str) -> bool:
    """Tell whether a TLS client that dials `host` (a DNS name or IP address) accepts the names in the certificate."""
    names = extension(certificate, x509.SubjectAlternativeName)
    if names is None:
        return False
    if (address := _address(host)) is not None:
        return address in names.get_values_for_type(x509.IPAddress)
    wanted = host.removesuffix(".").lower()
    return any(_matches(pattern.lower(), wanted) for pattern in names.get_values_for_type(x509.DNSName))


def _general_name(text: str) -> x509.GeneralName:
    address = _address(text)
    if isinstance(address, IPv6Address) and address.scope_id:
        raise CertificateError(Fault.BAD_NAME, f"{text[:60]!r}: a certificate cannot carry the zone of an IPv6 address")
    if address is not None:
        return x509.IPAddress(address)
    try:
        return x509.DNSName(parse_host(text).removesuffix("."))
    except InvalidValueError as problem:
        hint = "write international names in their xn-- form" if not text.isascii() else ""
        raise CertificateError(Fault.BAD_NAME, str(problem), hint) from None


def _address(text: str) -> IPv4Address | IPv6Address | None:
    try:
        return ip_address(text)
    except ValueError:
        return None


def _matches(pattern: str, wanted: str) -> bool:
    if not pattern.startswith("*."):
        return pattern == wanted
    label, _, parent = wanted.partition(".")
    return bool(label) and "." in parent and parent == pattern[2:]
