# SPDX-License-Identifier: Apache-2.0
"""The source DNS: A records of `igelrmserver` (facts D1, D8, W9).

Documented: the name and the record type. Ours: several records are tried in the order of the answer, the port is the
default one (no record says another, D18), and the web certificate is checked for the address.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from umslab_agent.discovery import Absent, Found, Source
from umslab_protocol.values.host_port import DEFAULT_WEB_PORT, HostPort
from umslab_runtime.dns import DnsError, DnsProblem

if TYPE_CHECKING:
    from umslab_runtime.dns import DnsClient

NAME = "igelrmserver"
_GOES_ON = {DnsProblem.NO_SUCH_NAME, DnsProblem.NO_ADDRESS, DnsProblem.SERVER_FAILED, DnsProblem.BAD_NAME}
"""After these the next search domain may do better; where nobody answers it cannot."""


class DnsSource:
    """Looks the name up below each search domain, then alone."""

    def __init__(self, client: DnsClient, *, port: int = DEFAULT_WEB_PORT) -> None:
        self._client = client
        self._port = port

    async def find(self) -> Found | Absent:
        """Ask until a name has addresses; see `Finder`."""
        errors: list[DnsError] = []
        names = self._client.names(NAME)
        for name in names:
            try:
                answer = await self._client.addresses(name)
            except DnsError as error:
                errors.append(error)
                if error.problem not in _GOES_ON:
                    break
            else:
                targets = tuple(HostPort(address, self._port) for address in answer.addresses)
                return Found(
                    source=Source.DNS, targets=targets, why=f"A record of {answer.name}, by {answer.server}, D1"
                )
        # Of the short name alone servers of a domain know nothing, and say so in many ways: it tells only by itself.
        telling = errors[: len(names) - 1] or errors
        worst = next((error for error in telling if error.problem is not DnsProblem.NO_SUCH_NAME), telling[0])
        return Absent(source=Source.DNS, reason=worst.problem, text="; ".join(error.detail for error in errors))
