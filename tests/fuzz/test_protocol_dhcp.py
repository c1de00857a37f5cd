# SPDX-License-Identifier: Apache-2.0
"""Any bytes, given to everything that reads DHCP: a value or the one declared error, and little kept."""

from __future__ import annotations

import random
from contextlib import suppress
from ipaddress import IPv4Address

from hypothesis import example, given, settings
from hypothesis import strategies as st

from tests.protocol.machines.dhcp_server import FIRST, MAC, OS12, SERVER, START, TinyServer
from umslab_protocol.errors import LocalProtocolError, RemoteProtocolError
from umslab_protocol.machines.dhcp_client import DhcpClient
from umslab_protocol.machines.dhcp_events import State
from umslab_protocol.machines.dhcp_requests import igel_identity
from umslab_protocol.values.firmware import FirmwareVersion
from umslab_protocol.wire.dhcp import DhcpMessage, MessageType, Op, Quirk, read_message, write_message
from umslab_protocol.wire.dhcp_names import nameservers, search_domains
from umslab_protocol.wire.dhcp_options import Code, MalformedDhcpError, Option, gather, read_field, write_options
from umslab_protocol.wire.igel_dhcp import ExtraCodes, interpret

values = (
    st.binary(max_size=40)
    | st.sampled_from([b"", b"ums.example", b"192.0.2.10\0", b"\xc0\0\x02\x0a", bytes(4), b"\xff" * 4, b"a,b", b"\x01"])
    | st.integers(200, 700).map(lambda size: b"x" * size)
)
codes = st.sampled_from([1, 3, 6, 43, 50, 51, 54, 56, 58, 59, 60, 82, 224, 226, 240, 250]) | st.integers(1, 254)
options = st.builds(Option, codes.filter(lambda code: code not in {52, 53}), values)
addresses = st.integers(0, 2**32 - 1).map(IPv4Address)
names = st.binary(max_size=60).map(lambda name: name.rstrip(b"\0"))


@st.composite
def messages(draw: st.DrawFn) -> DhcpMessage:
    """Draw a message with each option once and option 53 anywhere."""
    rest = draw(st.lists(options, max_size=12, unique_by=lambda option: option.code))
    at = draw(st.integers(0, len(rest)))
    kind = Option(Code.MESSAGE_TYPE, bytes((draw(st.sampled_from(MessageType)),)))
    return DhcpMessage(
        op=draw(st.sampled_from(Op)),
        xid=draw(st.integers(0, 2**32 - 1)),
        chaddr=draw(st.binary(max_size=16)),
        options=(*rest[:at], kind, *rest[at:]),
        hardware_type=draw(st.integers(0, 255)),
        hops=draw(st.integers(0, 255)),
        secs=draw(st.integers(0, 65535)),
        flags=draw(st.integers(0, 65535)),
        ciaddr=draw(addresses),
        yiaddr=draw(addresses),
        siaddr=draw(addresses),
        giaddr=draw(addresses),
        sname=draw(names),
        file=draw(names),
    )


@settings(deadline=None, max_examples=300)
@given(messages())
def test_messages_both_ways(message: DhcpMessage) -> None:
    """What we write we read."""
    assert message == read_message(write_message(message))


@settings(deadline=None, max_examples=300)
@given(messages(), st.integers(240, 1500))
def test_messages_that_must_be_packed(message: DhcpMessage, most: int) -> None:
    """Whether it is split or overloaded, it reads the same; what is written is not longer than asked."""
    bare = DhcpMessage(op=message.op, xid=message.xid, chaddr=message.chaddr, options=message.options)
    with suppress(LocalProtocolError):
        data = write_message(bare, max_bytes=most)

        assert len(data) <= max(most, 300)
        assert bare == read_message(data)


@settings(deadline=None, max_examples=300)
@given(st.lists(options, max_size=12, unique_by=lambda option: option.code))
def test_option_fields_both_ways(chosen: list[Option]) -> None:
    """Fields of options, as inside option 43."""
    found = read_field(write_options(chosen))

    assert tuple(chosen) == gather(found.pieces)
    assert found.problem is None


def read(data: bytes) -> None:
    """Read: a message that can be written again, or the declared error with a short reason."""
    reason = ""
    try:
        message = read_message(data)
    except MalformedDhcpError as error:
        declared: RemoteProtocolError = error
        reason = declared.reason
    else:
        assert sum(len(option.value) for option in message.options) <= len(data)
        assert message == read_message(write_message(message))

    assert len(reason) < 200


@settings(deadline=None, max_examples=300)
@given(st.binary(max_size=400))
@example(bytes(240))
def test_any_bytes(data: bytes) -> None:
    """Random bytes are hardly ever DHCP."""
    read(data)


fields = st.lists(
    st.builds(lambda code, value: bytes((code, len(value))) + value, codes | st.just(52), st.binary(max_size=30))
    | st.sampled_from([b"\0", b"\xff", b"\x35\x01\x05", b"\x34\x01\x03", b"\x34\x01\x01", b"\xe0", b"\xe0\xff"]),
    max_size=20,
).map(b"".join)


@settings(deadline=None, max_examples=400)
@given(fields, fields, fields)
def test_any_options(more: bytes, sname: bytes, file: bytes) -> None:
    """Well-formed heads with anything in the three fields of options."""
    head = bytes((2, 1, 6, 0)) + bytes(40)
    read(head + sname[:64].ljust(64, b"\0") + file[:128].ljust(128, b"\0") + b"\x63\x82\x53\x63" + more)


@settings(deadline=None, max_examples=300)
@given(messages(), st.integers(0, 600), st.binary(max_size=4), st.integers(0, 4))
def test_mutated_messages(message: DhcpMessage, at: int, inserted: bytes, deleted: int) -> None:
    """A message with a few bytes changed somewhere."""
    data = write_message(message)
    read(data[:at] + inserted + data[at + deleted :])


def test_a_bomb_of_pieces() -> None:
    """The largest datagram, all of it pieces of one option: joined in one go."""
    head = write_message(DhcpMessage(op=Op.REPLY, xid=1, chaddr=b"", options=(Option(53, b"\x05"),)))[:243]
    message = read_message(head + b"\xe0\x00" * 32_000)

    assert Option(224, b"") == message.get(224)
    assert {Quirk.NO_END, Quirk.SPLIT} == message.quirks


# What IGEL OS makes of it.

firmwares = st.sampled_from(["9", "11.03.500", "11.04.100", "12.7.2", "12.8.4"]).map(FirmwareVersion.parse)
vendor = st.builds(Option, st.just(43), fields | st.binary(max_size=60))
extras = st.sampled_from([None, ExtraCodes(port=240, auth_key=241, ca_hash=250)])


@settings(deadline=None, max_examples=400)
@given(st.lists(options | vendor, max_size=8), firmwares, extras)
def test_interpretation(chosen: list[Option], firmware: FirmwareVersion, extra: ExtraCodes | None) -> None:
    """Never an error; sentences stay short, and what counts came from somewhere."""
    view = interpret(chosen, firmware, extra)

    assert all(len(remark.text) < 400 for remark in (*view.reasons, *view.warnings))
    assert all(setting.value and setting.source for setting in view.settings.values())


@settings(deadline=None, max_examples=300)
@given(st.lists(st.builds(Option, st.sampled_from([6, 15, 119]), st.binary(max_size=300)), max_size=4))
@example([Option(119, b"\x01a\xc0\x00" * 100)])
@example([Option(119, b"\0" * 5000)])
def test_names(chosen: list[Option]) -> None:
    """Whatever a lease says of names: some that can be used, not many."""
    assert len(search_domains(chosen)) <= 32
    assert all(len(name) <= 255 and name.isprintable() for name in search_domains(chosen))
    assert len(nameservers(chosen)) <= 75


# The client.

replies = st.tuples(
    st.sampled_from(MessageType),
    st.lists(options, max_size=4, unique_by=lambda option: option.code),
    st.sampled_from([FIRST, IPv4Address(0), SERVER]) | addresses,
    st.booleans(),
)
steps = st.lists(st.binary(max_size=300) | replies | st.sampled_from(["wake", "jump", "release", "start"]), max_size=40)


@settings(deadline=None, max_examples=300)
@given(steps, st.integers(0, 100))
def test_the_client_survives(chosen: list[object], seed: int) -> None:
    """Any answers at any time: it never raises, keeps nothing but counters, and always has a next step or rests."""
    client = DhcpClient(igel_identity(MAC, OS12), chance=random.Random(seed).random)
    client.start(START)
    now, last, datagrams, sent = START, b"", 0, 0
    for step in chosen:
        for datagram in client.output():
            last, sent = datagram.payload, sent + 1
        if isinstance(step, bytes):
            client.receive(step, now)
            datagrams += 1
        elif isinstance(step, tuple):
            client.receive(_reply(last, *step), now)
            datagrams += 1
        elif step in {"wake", "jump"}:
            now = max(now, client.deadline() or now) if step == "wake" else now + 100_000.0
            client.on_deadline(now)
        elif step == "release":
            client.release(now)
        elif client.state is State.STOPPED:
            client.start(now)

        assert len(client._events) <= 3 * len(chosen)
        assert (client.deadline() is None) == (client.state is State.STOPPED or _for_ever(client))

    assert client.ignored.total() + client.malformed.total() <= datagrams
    assert sent <= 2 * len(chosen) + 1


def _for_ever(client: DhcpClient) -> bool:
    return client.state is State.BOUND and client.lease is not None and client.lease.renew_at == float("inf")


def _reply(last: bytes, kind: MessageType, more: list[Option], address: IPv4Address, good: bool) -> bytes:  # noqa: FBT001
    """An answer to what was sent last, more or less complete."""
    if good:
        return TinyServer(lease_seconds=100).reply(read_message(last), kind, address)
    asked = read_message(last)
    chosen = (Option(53, bytes((kind,))), *(option for option in more if option.code != 53))
    return write_message(DhcpMessage(op=Op.REPLY, xid=asked.xid, chaddr=asked.chaddr, yiaddr=address, options=chosen))
