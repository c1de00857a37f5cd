# SPDX-License-Identifier: Apache-2.0
"""Tests of umslab_runtime.dns: who is asked in which order, and every way to fail told apart."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

import dns.message
import dns.rcode
import dns.rrset
import pytest
import trio

from tests.support.zone import SILENT, TRUNCATED, Zone
from umslab_protocol.errors import InvalidValueError
from umslab_protocol.values.host_port import HostPort
from umslab_runtime.dns import (
    DnsClient,
    DnsError,
    DnsNetwork,
    DnsProblem,
    DnsSettings,
    ask_by_socket,
    parse_nameserver,
    parse_search_domain,
    read_resolv_conf,
)
from umslab_runtime.network import DialError, DialProblem
from umslab_runtime.policy import LOOPBACK_ONLY

if TYPE_CHECKING:
    from pathlib import Path

    from trio.testing import MockClock

ONE, TWO = HostPort("127.0.0.1", 53), HostPort("127.0.0.2", 53)


def client(zone: Zone, *servers: HostPort, search: tuple[str, ...] = ()) -> DnsClient:
    """A client of these name servers."""
    return DnsClient(DnsSettings(servers or (ONE,), search), zone)


async def problem(zone: Zone, *servers: HostPort, name: str = "ums.example") -> DnsProblem:
    """Why a name has no address."""
    with pytest.raises(DnsError) as caught:
        await client(zone, *servers).addresses(name)
    return caught.value.problem


async def test_addresses_in_order() -> None:
    """All A records, in the order of the answer (D1)."""
    answer = await client(Zone({"ums.example": ["127.0.0.5", "127.0.0.3"]})).addresses("ums.example")

    assert (("127.0.0.5", "127.0.0.3"), "ums.example", "127.0.0.1:53") == (answer.addresses, answer.name, answer.server)


@pytest.mark.parametrize(
    ("known", "expected"),
    [
        (dns.rcode.NXDOMAIN, DnsProblem.NO_SUCH_NAME),
        ([], DnsProblem.NO_ADDRESS),
        (dns.rcode.SERVFAIL, DnsProblem.SERVER_FAILED),
        (dns.rcode.REFUSED, DnsProblem.SERVER_FAILED),
        (SILENT, DnsProblem.TIMEOUT),
        (b"", DnsProblem.MALFORMED),
        (b"\0" * 40, DnsProblem.MALFORMED),
    ],
)
async def test_failures_are_told_apart(autojump_clock: MockClock, known: object, expected: DnsProblem) -> None:
    """Each has its reason."""
    assert expected == await problem(Zone({"ums.example": known}))  # type: ignore[dict-item]


async def test_other_failures() -> None:
    """Without a server, with a name that is none, and with a server that we must not ask."""
    zone = Zone({})
    with pytest.raises(DnsError) as caught:
        await DnsClient(DnsSettings(), zone).addresses("x")

    assert DnsProblem.NO_NAMESERVER is caught.value.problem
    assert DnsProblem.BAD_NAME == await problem(zone, name="a" * 64 + ".example")
    assert DnsProblem.REFUSED_BY_US == await problem(zone, HostPort("192.168.7.1", 53))
    assert DnsProblem.REFUSED_BY_US == await problem(zone, HostPort("8.8.8.8", 53))
    assert [] == zone.asked


async def test_the_next_server(autojump_clock: MockClock) -> None:
    """One that fails or is silent is passed over; NXDOMAIN is an answer."""
    zone = Zone({"127.0.0.1 a": SILENT, "127.0.0.1 b": dns.rcode.SERVFAIL, "a": ["127.0.0.7"], "b": ["127.0.0.8"]})
    asking = client(zone, ONE, TWO)

    assert ("127.0.0.7",) == (await asking.addresses("a")).addresses
    assert ("127.0.0.8",) == (await asking.addresses("b")).addresses
    zone.asked.clear()
    assert DnsProblem.NO_SUCH_NAME == await problem(zone, ONE, TWO, name="c")
    assert [("127.0.0.1", "c")] == zone.asked


async def test_patience(autojump_clock: MockClock) -> None:
    """Two rounds of five seconds for each server, as resolv.conf(5) has it."""
    before = trio.current_time()

    assert DnsProblem.TIMEOUT == await problem(Zone({"ums.example": SILENT}), ONE, TWO)
    assert 20.0 == trio.current_time() - before


async def test_truncated_answers_are_asked_for_again_over_tcp() -> None:
    """RFC 7766 section 5."""
    zone = Zone({"ums.example": TRUNCATED})

    assert ("127.0.0.9",) == (await client(zone).addresses("ums.example")).addresses
    assert 1 == zone.streams


async def test_aliases() -> None:
    """A CNAME inside the answer is followed; one that leads in a circle ends."""

    async def exchange(server: HostPort, query: bytes, *, stream: bool) -> bytes:
        del server, stream
        await trio.lowlevel.checkpoint()
        answer = dns.message.make_response(dns.message.from_wire(query))
        answer.answer += records
        return answer.to_wire()

    asking = DnsClient(DnsSettings((ONE,)), exchange)
    records = [dns.rrset.from_text("ums.example.", 1, "IN", "CNAME", "b.example.")]
    with pytest.raises(DnsError, match="no A record"):
        await asking.addresses("ums.example")
    records += [dns.rrset.from_text("b.example.", 1, "IN", "A", "127.0.0.4")]
    assert ("127.0.0.4",) == (await asking.addresses("ums.example")).addresses
    records[1] = dns.rrset.from_text("b.example.", 1, "IN", "CNAME", "ums.example.")
    with pytest.raises(DnsError, match="no A record"):
        await asking.addresses("ums.example")


def test_names() -> None:
    """A short name below each search domain, then alone; a whole one alone (D1)."""
    asking = client(Zone({}), search=("a.example", "b.example"))

    assert ["ums.a.example", "ums.b.example", "ums"] == asking.names("ums")
    assert ["ums.example"] == asking.names("ums.example.")


def test_resolv_conf(tmp_path: Path) -> None:
    """Servers in order, the last search line; what cannot be read is left out."""
    file = tmp_path / "resolv.conf"
    file.write_text(
        "# c\nnameserver 127.0.0.1\nnameserver ::1 # x\nnameserver nonsense!\nnameserver\ndomain old.example\n"
        "search A.example b.example. -\noptions edns0\n\xff"
    )

    assert DnsSettings((ONE, HostPort("::1", 53)), ("a.example", "b.example")) == read_resolv_conf(file)
    assert DnsSettings() == read_resolv_conf(tmp_path / "missing")


def test_what_users_write() -> None:
    """A name server is an address."""
    assert HostPort("127.0.0.1", 5353) == parse_nameserver("127.0.0.1:5353")
    assert "lab.example" == parse_search_domain("Lab.example.")
    for text in ("dns.example", "", "127.0.0.1:x"):
        with pytest.raises(InvalidValueError):
            parse_nameserver(text)
    with pytest.raises(InvalidValueError):
        parse_search_domain("a b")


async def test_network_with_its_own_name_servers() -> None:
    """Names go to them through the search domains; literal addresses and localhost do not."""
    zone = Zone({"ums.lab.example": ["127.0.0.6"], "bad.example": dns.rcode.SERVFAIL})
    network = DnsNetwork(LOOPBACK_ONLY, client(zone, search=("lab.example",)))

    assert ["127.0.0.6"] == list(await network.resolve("ums"))
    assert ["127.0.0.1"] == list(await network.resolve("127.0.0.1"))
    assert "127.0.0.1" in await network.resolve("localhost")
    for name, expected in (("none.example", DialProblem.NAME_UNKNOWN), ("bad.example", DialProblem.RESOLVER)):
        with pytest.raises(DialError) as caught:
            await network.resolve(name)
        assert expected is caught.value.problem


async def test_real_sockets() -> None:
    """UDP ignores what answers another query; TCP frames; a port where nobody listens."""
    zone = Zone({"ums.example": ["127.0.0.5"], "long.example": TRUNCATED})
    with trio.socket.socket(type=trio.socket.SOCK_DGRAM) as datagrams:
        await datagrams.bind(("127.0.0.1", 0))
        server = HostPort("127.0.0.1", datagrams.getsockname()[1])

        async def answer_datagrams() -> None:
            while True:
                query, source = await datagrams.recvfrom(4096)
                await datagrams.sendto(b"\xff\xff forged", source)
                await datagrams.sendto(await zone(server, query, stream=False), source)

        async def answer_stream(stream: trio.SocketStream) -> None:
            query = await stream.receive_some()
            answer = await zone(server, bytes(query)[2:], stream=True)
            await stream.send_all(len(answer).to_bytes(2, "big") + answer)

        async with trio.open_nursery() as nursery:
            nursery.start_soon(answer_datagrams)
            await nursery.start(partial(trio.serve_tcp, answer_stream, server.port, host="127.0.0.1"))
            asking = DnsClient(DnsSettings((server,)), ask_by_socket)
            assert ("127.0.0.5",) == (await asking.addresses("ums.example")).addresses
            assert ("127.0.0.9",) == (await asking.addresses("long.example")).addresses
            nursery.cancel_scope.cancel()
    with pytest.raises(DnsError) as caught:
        await DnsClient(DnsSettings((server,)), ask_by_socket).addresses("ums.example")
    assert DnsProblem.UNREACHABLE is caught.value.problem
