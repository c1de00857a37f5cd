# SPDX-License-Identifier: Apache-2.0
"""Where devices enrol, when that is another address than that of their sessions: `HOST[:PORT][/PREFIX]` (fact S7).

Provenance: documented (host, port and path prefix). That a prefix stands for the whole path of EST, after the vendor's
own example of one, is our reading; its limit and characters are ours.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from umslab_protocol.errors import InvalidValueError
from umslab_protocol.values.host_port import HostPort, parse_host_port

MAX_PREFIX_CHARACTERS = 255
MAX_EST_ADDRESS_CHARACTERS = 520
"""Host, port and prefix with what is between them."""
_PREFIX = re.compile(r"(/(?!\.{1,2}(/|$))[A-Za-z0-9._~-]+)+", re.ASCII)


@dataclass(frozen=True, slots=True)
class EstAddress:
    """Host, port, and below which path the operations of EST are; without one, where they always are (E4)."""

    at: HostPort
    prefix: str = ""

    def __str__(self) -> str:
        return f"{self.at}{self.prefix}"


def parse_est_address(text: str) -> EstAddress:
    """Read `HOST[:PORT][/PREFIX]`; a slash at the end counts for nothing. Raises `InvalidValueError`."""
    address, slash, rest = text.partition("/")
    prefix = f"{slash}{rest}".removesuffix("/")
    if prefix and (len(prefix) > MAX_PREFIX_CHARACTERS or not _PREFIX.fullmatch(prefix)):
        raise InvalidValueError(
            f"{prefix[:60]!r} is not a path prefix: at most {MAX_PREFIX_CHARACTERS} characters, letters, digits and "
            "._~- between slashes"
        )
    return EstAddress(parse_host_port(address), prefix)
