# SPDX-License-Identifier: Apache-2.0
"""Tests of umslab_protocol.machines.dhcp_client, against a tiny server and in virtual time."""

from __future__ import annotations

from dataclasses import replace
from ipaddress import IPv4Address
from itertools import pairwise

import pytest

from tests.protocol.machines.dhcp_server import FIRST, MAC, OS12, OTHER, SERVER, START, Link, TinyServer
from umslab_protocol.errors import LocalProtocolError
from umslab_protocol.machines.dhcp_events import (
    Bound,
    Ignored,
    Informed,
    Lost,
    LostBy,
    Refused,
    Renewed,
    State,
    Unanswered,
)
from umslab_protocol.machines.dhcp_requests import EVERYBODY, Relay, igel_identity
from umslab_protocol.wire.dhcp import NOWHERE, MessageType, Op, Quirk, read_message
from umslab_protocol.wire.dhcp_options import Code, DhcpProblem, Option


def _bound(*servers: TinyServer) -> Link:
    link = Link(*servers)
    link.client.start(START)
    return link.carry()


def test_leases_an_address() -> None:
    """DISCOVER, OFFER, REQUEST, ACK, with the options the server gave."""
    link = _bound()

    assert [MessageType.DISCOVER, MessageType.REQUEST] == [message.kind for message in link.server.heard]
    assert State.BOUND is link.client.state
    (event,) = link.saw
    assert isinstance(event, Bound)
    assert (FIRST, SERVER, 3600.0) == (event.lease.address, event.lease.server, event.lease.seconds)
    assert Option(224, b"ums.example") in event.lease.options
    assert {} == link.client.ignored == link.client.malformed


def test_what_it_says() -> None:
    """Vendor class and parameters of IGEL; the REQUEST names server and address and keeps xid and secs."""
    link = _bound()
    discover, request = link.server.heard

    assert (NOWHERE, NOWHERE, bytes.fromhex(MAC)) == (discover.ciaddr, discover.giaddr, discover.chaddr)
    assert discover.get(Code.VENDOR_CLASS) == Option(60, b"igel-dhcp-1") == request.get(Code.VENDOR_CLASS)
    assert discover.xid == request.xid
    assert Option(54, SERVER.packed) == request.get(Code.SERVER_ID)
    assert Option(50, FIRST.packed) == request.get(Code.REQUESTED_ADDRESS)
    assert NOWHERE == request.ciaddr
    assert all(datagram.broadcast for datagram in link.sent)


def test_retransmission_backs_off() -> None:
    """RFC 2131 section 4.1: 4, 8, 16, 32, 64 s, each plus or minus one, in one transaction; then a rest."""
    link = Link(TinyServer(silent=True))
    link.client.start(START)
    link.carry()
    waits = [link.wake() for _ in range(5)]

    for wanted, wait in zip((4, 8, 16, 32, 64), waits, strict=True):
        assert wanted - 1 <= wait <= wanted + 1
    assert 1 == len({message.xid for message in link.server.heard})
    secs = [message.secs for message in link.server.heard]
    assert secs[0] == 0
    assert all(before < after for before, after in pairwise(secs))
    assert [Unanswered(State.SELECTING, 5)] == link.saw
    assert State.WAITING is link.client.state


def test_begins_anew_after_a_rest() -> None:
    """After the rest it asks again, in another transaction, and takes what comes."""
    link = Link(TinyServer(silent=True))
    link.client.start(START)
    link.carry()
    for _ in range(5):
        link.wake()
    link.server.silent = False

    assert 300.0 == pytest.approx(link.wake())
    assert State.BOUND is link.client.state
    assert link.server.heard[0].xid != link.server.heard[-1].xid


def test_jitter_differs_by_seed_and_repeats() -> None:
    """Chance is an argument."""

    def first_wait(seed: int) -> float:
        link = Link(TinyServer(silent=True), seed=seed)
        link.client.start(START)
        link.carry()
        return link.wake()

    assert first_wait(1) == first_wait(1) != first_wait(2)


def test_the_first_offer_wins_and_second_servers_are_counted() -> None:
    """The other server's offer comes too late, and is no reason to change."""
    link = _bound(TinyServer(), TinyServer(address=OTHER, next_address=IPv4Address("192.0.2.99")))

    assert {Ignored.SECOND_SERVER: 1} == link.client.ignored
    assert link.client.lease is not None
    assert SERVER == link.client.lease.server


@pytest.mark.parametrize("kind", [MessageType.ACK, MessageType.NAK])
def test_a_second_server_cannot_interfere(kind: MessageType) -> None:
    """Neither its ACK nor its NAK counts while another one was chosen."""
    link = Link(TinyServer())
    link.client.start(START)
    link.sent += link.client.output()
    link.inject(MessageType.OFFER)
    link.sent += link.client.output()
    other = (Option(53, bytes((kind,))), Option(54, OTHER.packed), Option(51, bytes(3) + b"\x63"))
    link.inject(kind, options=other)

    assert State.REQUESTING is link.client.state
    assert {Ignored.SECOND_SERVER: 1} == link.client.ignored


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"xid": 7}, Ignored.WRONG_XID),
        ({"chaddr": bytes(6)}, Ignored.WRONG_CLIENT),
        ({"chaddr": b""}, Ignored.WRONG_CLIENT),
        ({"op": Op.REQUEST}, Ignored.NOT_A_REPLY),
        ({"options": (Option(53, b"\x05"), Option(54, SERVER.packed))}, Ignored.UNEXPECTED),
    ],
)
def test_what_is_not_for_this_client(changes: dict[str, object], why: Ignored) -> None:
    """Counted by reason; nothing else happens."""
    link = Link(TinyServer(silent=True))
    link.client.start(START)
    link.carry()
    link.inject(MessageType.OFFER, **changes)

    assert {why: 1} == link.client.ignored
    assert State.SELECTING is link.client.state
    assert [] == link.client.output()
    assert [] == link.saw


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"options": (Option(53, b"\x02"),)}, DhcpProblem.NO_SERVER_ID),
        ({"options": (Option(53, b"\x02"), Option(54, b"abc"))}, DhcpProblem.BAD_VALUE),
        ({"yiaddr": NOWHERE}, DhcpProblem.NO_ADDRESS),
        ({"yiaddr": EVERYBODY}, DhcpProblem.NO_ADDRESS),
        ({"yiaddr": IPv4Address("224.0.0.1")}, DhcpProblem.NO_ADDRESS),
    ],
)
def test_malformed_offers(changes: dict[str, object], why: DhcpProblem) -> None:
    """Counted by reason; the client goes on waiting for a good one."""
    link = Link(TinyServer(silent=True))
    link.client.start(START)
    link.carry()
    link.inject(MessageType.OFFER, **changes)

    assert {why: 1} == link.client.malformed
    assert State.SELECTING is link.client.state
    link.server.silent = False
    link.inject(MessageType.OFFER)
    assert State.REQUESTING.value == link.client.state.value


@pytest.mark.parametrize(
    "options", [(), (Option(51, bytes(4)),), (Option(51, b"\x01"),)], ids=["missing", "zero", "short"]
)
def test_an_acknowledgement_without_a_lease_time(options: tuple[Option, ...]) -> None:
    """It is not believed, and asked for again."""
    link = Link(TinyServer())
    link.client.start(START)
    link.sent += link.client.output()
    link.inject(MessageType.OFFER)
    link.sent += link.client.output()
    link.inject(MessageType.ACK, options=(Option(53, b"\x05"), Option(54, SERVER.packed), *options))

    assert State.REQUESTING is link.client.state
    assert 1 == link.client.malformed.total()
    link.wake()
    assert State.BOUND.value == link.client.state.value


def test_bytes_that_are_not_dhcp() -> None:
    """Counted by reason."""
    link = Link(TinyServer(silent=True))
    link.client.start(START)
    for data in (b"", b"x" * 300):
        link.client.receive(data, START)

    assert {DhcpProblem.TOO_SHORT: 1, DhcpProblem.NO_COOKIE: 1} == link.client.malformed


def test_a_nak_begins_anew_at_once_and_then_ever_later() -> None:
    """A server that offers and refuses is not asked in a tight loop."""
    link = Link(TinyServer(refuses=True))
    link.client.start(START)
    link.carry()

    assert [Refused(SERVER, "not here")] * 2 == link.saw
    assert State.WAITING is link.client.state
    waits = [link.wake() for _ in range(3)]
    assert waits[0] < waits[1] < waits[2]
    link.server.refuses = False
    link.wake()
    assert State.BOUND.value == link.client.state.value


def test_requests_that_nobody_answers() -> None:
    """Four tries, then from the beginning."""
    link = Link(TinyServer())
    link.client.start(START)
    link.sent += link.client.output()
    link.inject(MessageType.OFFER)
    link.server.silent = True
    link.carry()
    for _ in range(4):
        link.wake()

    assert [Unanswered(State.REQUESTING, 4)] == link.saw
    assert State.SELECTING is link.client.state
    requests = [message for message in link.server.heard if message.kind is MessageType.REQUEST]
    assert {0} == {message.secs for message in requests}


# Keeping a lease.


def test_renews_with_its_server() -> None:
    """At T1 (moved forward by chance, as dhclient does), to the server alone, from the address."""
    link = _bound()
    passed = link.wake()
    renewal = link.server.heard[-1]

    assert 0.75 * 1800 <= passed <= 1800
    assert [Bound, Renewed] == [type(event) for event in link.saw]
    assert (FIRST, SERVER, 68) == (link.sent[-1].source, link.sent[-1].destination, link.sent[-1].source_port)
    assert FIRST == renewal.ciaddr
    assert None is renewal.get(Code.SERVER_ID) is renewal.get(Code.REQUESTED_ADDRESS)


def test_stages_of_a_server_say_when() -> None:
    """Options 58 and 59."""
    more = (Option(58, (100).to_bytes(4)), Option(59, (200).to_bytes(4)))
    link = _bound(TinyServer(options=more))

    assert 75 <= link.wake() <= 100


def test_rebinds_with_anybody() -> None:
    """When its server is silent, at T2 everybody is asked, and another server may keep the lease alive."""
    other = TinyServer(address=OTHER, silent=True)
    link = _bound(TinyServer(), other)
    link.server.silent = True
    while link.client.state is not State.REBINDING:
        link.wake()

    assert START + 0.875 * 3600 == pytest.approx(link.now)
    other.silent = False
    other.leases[bytes.fromhex(MAC)] = FIRST
    link.wake()
    assert isinstance(link.saw[-1], Renewed)
    assert OTHER == link.saw[-1].lease.server
    assert link.sent[-1].broadcast


def test_retries_of_a_renewal_halve_what_is_left() -> None:
    """RFC 2131 section 4.4.5: half of what is left until T2, not less than a minute."""
    link = _bound()
    link.server.silent = True
    link.wake()
    first, second = link.wake(), link.wake()

    assert second == pytest.approx(first / 2)
    assert first > 60


def test_an_expired_lease_is_lost() -> None:
    """Nobody answers until the end: the address is gone, and the client asks for a new one."""
    link = _bound()
    link.server.silent = True
    while not isinstance(link.saw[-1], Lost):
        link.wake()

    assert START + 3600 == pytest.approx(link.now)
    assert LostBy.EXPIRED is link.saw[-1].by
    assert State.SELECTING is link.client.state
    assert 20 > link.kinds[MessageType.REQUEST]


def test_a_clock_that_jumped_beyond_the_lease() -> None:
    """After a long sleep the lease is over at once, with no renewal."""
    link = _bound()
    link.now += 10_000
    link.client.on_deadline(link.now)
    link.carry()

    assert [Bound, Lost, Bound] == [type(event) for event in link.saw]


def test_a_refused_renewal_loses_the_address() -> None:
    """NAK: the address must not be used any more."""
    link = _bound()
    link.server.refuses = True
    link.wake()

    assert [Bound, Refused, Lost, Refused] == [type(event) for event in link.saw]
    lost = link.saw[2]
    assert isinstance(lost, Lost)
    assert LostBy.REFUSED is lost.by
    assert link.client.lease is None


@pytest.mark.parametrize("seconds", [1, 60, 120])
def test_short_leases(seconds: int) -> None:
    """They are renewed in time, whatever a minute is."""
    link = _bound(TinyServer(lease_seconds=seconds))
    for _ in range(5):
        link.wake()

    assert [Bound, *[Renewed] * 5] == [type(event) for event in link.saw]


def test_an_endless_lease() -> None:
    """Nothing to do, for ever."""
    link = _bound(TinyServer(lease_seconds=0xFFFF_FFFF))

    assert State.BOUND is link.client.state
    assert link.client.deadline() is None


def test_an_endless_lease_that_wants_to_be_renewed() -> None:
    """Option 58 alone: tries are at most a day apart."""
    link = _bound(TinyServer(lease_seconds=0xFFFF_FFFF, options=(Option(58, (100).to_bytes(4)),)))
    link.server.silent = True
    link.wake()

    assert 86_400 == pytest.approx(link.wake())


# Other ways to begin and to end.


def test_after_a_reboot_it_asks_for_the_same_address() -> None:
    """INIT-REBOOT: one REQUEST without a server identifier."""
    server = TinyServer(leases={bytes.fromhex(MAC): FIRST})
    link = Link(server)
    link.client.start(START, previous=FIRST)
    link.carry()

    assert [MessageType.REQUEST] == [message.kind for message in server.heard]
    assert None is server.heard[0].get(Code.SERVER_ID)
    assert State.BOUND is link.client.state


@pytest.mark.parametrize("silent", [True, False], ids=["silence", "NAK"])
def test_after_a_reboot_elsewhere(*, silent: bool) -> None:
    """Refused or not answered: from the beginning, and nothing is lost that it never had."""
    link = Link(TinyServer(silent=silent))
    link.client.start(START, previous=IPv4Address("198.51.100.7"))
    link.carry()
    if silent:
        link.wake()
        link.wake()
        link.server.silent = False
        link.wake()

    assert [Unanswered if silent else Refused, Bound] == [type(event) for event in link.saw]


def test_release() -> None:
    """The server can give the address to somebody else; nothing more happens here."""
    link = _bound()
    link.client.release(link.now, "going home")
    link.carry()
    release = link.server.heard[-1]

    assert {} == link.server.leases
    assert (MessageType.RELEASE, FIRST) == (release.kind, release.ciaddr)
    assert Option(56, b"going home") == release.get(Code.MESSAGE)
    assert None is release.get(Code.PARAMETER_LIST) is release.get(Code.VENDOR_CLASS)
    assert (SERVER, State.STOPPED, None) == (link.sent[-1].destination, link.client.state, link.client.deadline())
    link.client.start(link.now)
    assert State.BOUND is link.carry().client.state


def test_release_without_an_address() -> None:
    """Only stops."""
    link = Link(TinyServer(silent=True))
    link.client.start(START)
    link.carry()
    link.client.release(START)

    assert [] == link.client.output()
    assert State.STOPPED is link.client.state


def test_decline() -> None:
    """Somebody uses the address: say so, wait ten seconds, take another."""
    link = _bound()
    link.client.decline(link.now)
    link.carry()
    declined = link.server.heard[-1]

    assert (MessageType.DECLINE, NOWHERE) == (declined.kind, declined.ciaddr)
    assert Option(50, FIRST.packed) == declined.get(Code.REQUESTED_ADDRESS)
    assert 10.0 == pytest.approx(link.wake())
    assert link.client.lease is not None
    assert FIRST + 1 == link.client.lease.address


def test_inform() -> None:
    """For a host that has an address: options, no lease."""
    link = Link()
    link.client.inform(FIRST, START)
    link.carry()

    assert [Informed] == [type(event) for event in link.saw]
    assert isinstance(link.saw[0], Informed)
    assert Option(224, b"ums.example") in link.saw[0].options
    assert FIRST == link.server.heard[0].ciaddr
    assert State.STOPPED is link.client.state


def test_inform_that_nobody_answers() -> None:
    """Five tries, then it stops."""
    link = Link(TinyServer(silent=True))
    link.client.inform(FIRST, START)
    link.carry()
    for _ in range(5):
        link.wake()

    assert [Unanswered(State.INFORMING, 5)] == link.saw
    assert (State.STOPPED, None) == (link.client.state, link.client.deadline())


def test_requests_that_are_not_possible() -> None:
    """Our own mistakes."""
    link = _bound()
    with pytest.raises(LocalProtocolError, match="bound"):
        link.client.start(START)
    with pytest.raises(LocalProtocolError, match="bound"):
        link.client.inform(FIRST, START)
    link.client.stop()
    with pytest.raises(LocalProtocolError, match="stopped and has no address"):
        link.client.decline(START)


def test_a_deadline_that_is_not_yet_there() -> None:
    """Waking it early does nothing."""
    link = _bound()
    link.client.on_deadline(link.now)

    assert [] == link.client.output()


def test_relay_mode() -> None:
    """giaddr, one hop, from and to port 67, never broadcast: also for renewals."""
    giaddr = IPv4Address("192.0.2.254")
    link = Link(identity=igel_identity(MAC, OS12, relay=Relay(giaddr, SERVER)))
    link.client.start(START)
    link.carry()
    link.wake()

    assert [Bound, Renewed] == [type(event) for event in link.saw]
    for datagram in link.sent:
        assert (giaddr, 67, SERVER, 67) == (
            datagram.source, datagram.source_port, datagram.destination, datagram.destination_port,
        )  # fmt: skip
    assert {(giaddr, 1)} == {(message.giaddr, message.hops) for message in link.server.heard}


def test_broadcast_flag() -> None:
    """Asked for while it has no address, not for a renewal."""
    link = Link(identity=igel_identity(MAC, OS12, broadcast=True))
    link.client.start(START)
    link.carry()
    link.wake()

    assert [True, True, False] == [message.broadcast for message in link.server.heard]


def test_an_overloaded_and_split_acknowledgement() -> None:
    """RFC 2131, 2132, 3396: what is packed in every way is read the same."""
    long = Option(43, bytes((224, 200)) + b"x" * 200 + bytes((226, 100)) + b"y" * 100)
    link = _bound(TinyServer(options=(long, Option(224, b"ums")), max_bytes=500))

    assert link.client.lease is not None
    assert {long, Option(224, b"ums")} <= set(link.client.lease.options)
    packed = read_message(link.server.reply(link.server.heard[0], MessageType.ACK, FIRST))
    assert {Quirk.OVERLOADED, Quirk.SPLIT} <= packed.quirks


def test_many_clients_do_not_disturb_each_other() -> None:
    """All see all answers; each takes its own."""
    server = TinyServer()
    links = [
        Link(server, identity=replace(igel_identity(MAC, OS12), mac=bytes((2, 0, 0, 0, 0, number))), seed=number)
        for number in range(20)
    ]
    for link in links:
        link.client.start(START)
    for _ in range(2):
        out = [datagram for link in links for datagram in link.client.output()]
        answers = [answer for datagram in out for answer in server.answer(datagram.payload)]
        for link in links:
            for answer in answers:
                link.client.receive(answer, START)

    addresses = {link.client.lease.address for link in links if link.client.lease is not None}
    assert 20 == len(addresses)
    assert {2 * 19} == {link.client.ignored[Ignored.WRONG_CLIENT] for link in links}
