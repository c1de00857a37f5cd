# SPDX-License-Identifier: Apache-2.0
"""Name servers without packets: what each answers for a name, or that it is silent."""

from __future__ import annotations

from typing import TYPE_CHECKING

import dns.flags
import dns.message
import dns.rcode
import dns.rrset
import trio

if TYPE_CHECKING:
    from collections.abc import Sequence

    from umslab_protocol.values.host_port import HostPort

SILENT = "silent"
TRUNCATED = "truncated"


class Zone:
    """The exchange of a `DnsClient`; `names[name]`: A records, an rcode, bytes, or one of the words above."""

    def __init__(self, names: dict[str, Sequence[str] | dns.rcode.Rcode | bytes | str]) -> None:
        self.names = names
        self.asked: list[tuple[str, str]] = []
        """Server and name, in order."""
        self.streams = 0

    async def __call__(self, server: HostPort, query: bytes, *, stream: bool) -> bytes:
        """Answer as the zone says; `SERVER NAME` beats `NAME`."""
        await trio.lowlevel.checkpoint()
        message = dns.message.from_wire(query)
        question = message.question[0]
        name = question.name.to_text(omit_final_dot=True)
        self.asked.append((server.host, name))
        self.streams += stream
        known = self.names.get(f"{server.host} {name}", self.names.get(name, dns.rcode.NXDOMAIN))
        if known == SILENT:
            await trio.sleep_forever()
        if isinstance(known, bytes):
            return known
        answer = dns.message.make_response(message)
        if known == TRUNCATED and not stream:
            answer.flags |= dns.flags.TC
        elif isinstance(known, dns.rcode.Rcode):
            answer.set_rcode(known)
        elif known == TRUNCATED:
            answer.answer.append(dns.rrset.from_text(question.name, 60, "IN", "A", "127.0.0.9"))
        elif known:
            answer.answer.append(dns.rrset.from_text(question.name, 60, "IN", "A", *known))
        return answer.to_wire(want_shuffle=False)
