# SPDX-License-Identifier: Apache-2.0
"""Whatever a name server answers and whatever resolv.conf holds: addresses, or one of the named reasons."""

from __future__ import annotations

from contextlib import suppress
from ipaddress import IPv4Address
from typing import TYPE_CHECKING

import dns.message
import dns.name
import dns.rrset
import trio
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from umslab_protocol.values.host_port import HostPort
from umslab_runtime.dns import DnsClient, DnsError, DnsSettings, read_resolv_conf

if TYPE_CHECKING:
    from pathlib import Path

NAME = "igelrmserver.lab.example"


@st.composite
def _changes(draw: st.DrawFn) -> list[tuple[float, int]]:
    """Where bytes of a good answer are changed, and into what."""
    return draw(st.lists(st.tuples(st.floats(0, 0.999), st.integers(0, 255)), max_size=6))


def _good(query: bytes) -> bytearray:
    answer = dns.message.make_response(dns.message.from_wire(query))
    name = dns.name.from_text(NAME)
    answer.answer.append(dns.rrset.from_text(name, 1, "IN", "CNAME", "b.example."))
    answer.answer.append(dns.rrset.from_text("b.example.", 1, "IN", "A", "127.0.0.1", "127.0.0.2"))
    return bytearray(answer.to_wire())


def _ask(make: object) -> None:
    async def exchange(server: HostPort, query: bytes, *, stream: bool) -> bytes:
        del server, stream
        await trio.lowlevel.checkpoint()
        return bytes(make(query))  # type: ignore[operator]

    async def main() -> None:
        client = DnsClient(DnsSettings((HostPort("127.0.0.1", 53),)), exchange, attempts=1)
        with suppress(DnsError):
            answer = await client.addresses(NAME)
            assert answer.addresses
            assert all(IPv4Address(address) for address in answer.addresses)

    trio.run(main)


@given(_changes(), st.one_of(st.none(), st.integers(0, 120)))
@settings(max_examples=300)
def test_changed_answers(changes: list[tuple[float, int]], length: int | None) -> None:
    """A good answer with a few bytes changed, or cut."""

    def make(query: bytes) -> bytes:
        data = _good(query)
        for place, value in changes:
            data[int(place * len(data))] = value
        return bytes(data[:length])

    _ask(make)


@given(st.binary(max_size=200), st.booleans())
@settings(max_examples=300)
def test_any_bytes(data: bytes, ours: bool) -> None:  # noqa: FBT001 - drawn
    """Anything, with and without the right id."""
    _ask(lambda query: query[:2] + data if ours else data)


@given(st.one_of(st.binary(max_size=300), st.text("nameservdoihc 1.:#;\n%[]", max_size=200).map(str.encode)))
@settings(max_examples=200, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_resolv_conf(tmp_path: Path, data: bytes) -> None:
    """Never an error."""
    file = tmp_path / "resolv.conf"
    file.write_bytes(data)
    read_resolv_conf(file)
