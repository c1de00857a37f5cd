# SPDX-License-Identifier: Apache-2.0
"""`HOST[:PORT]` as people type it (facts S5, S8: names up to 255 characters, compared case-sensitively by IGEL)."""

from __future__ import annotations

import re
from dataclasses import dataclass
from ipaddress import AddressValueError, IPv4Address, IPv6Address

from umslab_protocol.errors import InvalidValueError

DEFAULT_WEB_PORT = 8443  # P1
DEVICE_COMMUNICATION_PORT = 30001  # P7: where OS 11 devices call the UMS
PUSH_PORT = 30005  # P10: where the UMS calls OS 11 devices
FILE_TRANSFER_PORT = (
    30003  # SIMULATED: where OS 11 devices fetch files; IGEL's use 8443 (P2), which is TLS 1.3 only here
)
_SCOPED = re.compile(r"[0-9A-Fa-f:.]+(%[A-Za-z0-9._-]{1,15})?", re.ASCII)  # Linux: an interface name has at most 15
_NAME = re.compile(r"(?!-)[A-Za-z0-9_-]{1,63}(?<!-)(\.(?!-)[A-Za-z0-9_-]{1,63}(?<!-))*\.?", re.ASCII)


@dataclass(frozen=True, slots=True)
class HostPort:
    """A host name or literal address, and a port 1-65535."""

    host: str
    port: int

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


def parse_host_port(text: str, default_port: int = DEFAULT_WEB_PORT) -> HostPort:
    """Read `HOST`, `HOST:PORT`, `[IPV6]` or `[IPV6]:PORT`; raise `InvalidValueError` otherwise."""
    if match := re.fullmatch(r"\[([^\]]*)\](?::(.*))?", text, re.ASCII):
        host, port = match.group(1), match.group(2)
        if not _is_address(host, IPv6Address):
            raise InvalidValueError(f"{host[:60]!r} in brackets is not an IPv6 address")
    elif text.count(":") > 1:
        host, port = text, None
    else:
        host, _, rest = text.partition(":")
        port = rest if ":" in text else None
    return HostPort(parse_host(host), default_port if port is None else _parse_port(port))


def parse_host(text: str) -> str:
    """Return a host name or a literal IPv4/IPv6 address, or raise `InvalidValueError`."""
    if _is_address(text, IPv4Address) or _is_address(text, IPv6Address):
        return text
    all_digits = re.fullmatch(r"[0-9.]+", text, re.ASCII) is not None
    if len(text) <= 255 and not all_digits and _NAME.fullmatch(text):
        return text
    raise InvalidValueError(f"{text[:60]!r} is neither a host name nor an IP address")


def _is_address(text: str, kind: type[IPv4Address | IPv6Address]) -> bool:
    if not _SCOPED.fullmatch(text):  # ipaddress takes anything for a scope, line breaks too
        return False
    try:
        kind(text)
    except AddressValueError:
        return False
    return True


def _parse_port(text: str) -> int:
    if re.fullmatch(r"[0-9]{1,5}", text, re.ASCII) and 1 <= int(text) <= 65535:
        return int(text)
    raise InvalidValueError(f"{text[:20]!r} is not a port: expected a number from 1 to 65535")
