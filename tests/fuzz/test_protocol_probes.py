# SPDX-License-Identifier: Apache-2.0
"""Any bytes, given to everything that reads UDP 30005 and UDP 9: a value or the one declared error, and little kept."""

from __future__ import annotations

from contextlib import suppress
from random import Random

import trio
from hypothesis import given, settings
from hypothesis import strategies as st
from trio.testing import MockClock

from umslab_agent.answering import TCP_SECONDS, Answerer, Answering
from umslab_agent.waking import Waking
from umslab_protocol.errors import InvalidValueError, RemoteProtocolError
from umslab_protocol.machines.online_check import CheckRules, Missed, OnlineCheck, Reached, Target, Verdict
from umslab_protocol.machines.scan import Scan
from umslab_protocol.values.address_range import MAX_ADDRESSES, parse_ranges, parse_subnet
from umslab_protocol.values.host_port import HostPort
from umslab_protocol.values.unit_id import MacAddress, UnitId
from umslab_protocol.wire.magic_packet import woken_by, write_magic_packet
from umslab_protocol.wire.probes import (
    HEAD_BYTES,
    MAX_ANSWER_BYTES,
    Probe,
    RegisterOrder,
    ScanAnswer,
    read_online_answer,
    read_probe,
    read_register_order,
    read_scan_answer,
    write_online_answer,
    write_online_check,
    write_register_order,
    write_scan,
    write_scan_answer,
)
from umslab_runtime.net_memory import MemoryNetwork
from umslab_runtime.streams import Address
from umslab_runtime.udp import Received, UdpEndpoint

UNITS = [UnitId(f"02{number:010X}") for number in range(4)]
unit_ids = st.sampled_from(UNITS) | st.integers(0, 2**48 - 1).map(lambda number: UnitId(f"{number:012X}"))
nonces = st.binary(min_size=16, max_size=16)
texts = st.text(max_size=150).filter(str.isprintable)
scan_answers = st.builds(
    ScanAnswer,
    nonce=nonces,
    unit_id=unit_ids,
    mac=unit_ids.map(MacAddress),
    name=texts,
    product=texts,
    firmware=texts,
    has_ums=st.booleans(),
)
orders = st.builds(
    RegisterOrder,
    nonce=nonces,
    unit_id=unit_ids,
    web_port=st.integers(0, 65_535),
    os11_port=st.integers(0, 65_535),
    token=st.binary(min_size=32, max_size=32),
)
packets = st.one_of(
    orders.map(write_register_order),
    st.builds(write_online_check, unit_ids, nonces, st.integers(0, 65_535)),
    st.builds(write_scan, nonces, st.integers(0, 65_535)),
    st.builds(write_online_answer, unit_ids, nonces),
    scan_answers.map(write_scan_answer),
    unit_ids.map(MacAddress).map(write_magic_packet),
)


@st.composite
def broken(draw: st.DrawFn) -> bytes:
    """Draw a packet with a few bytes changed, cut or added; or just bytes."""
    data = bytearray(draw(packets | st.binary(max_size=600)))
    for _ in range(draw(st.integers(0, 3))):
        if data:
            data[draw(st.integers(0, len(data) - 1))] = draw(st.integers(0, 255))
    return bytes(data[: draw(st.integers(0, 700))]) + draw(st.binary(max_size=3))


@settings(deadline=None, max_examples=500)
@given(broken())
def test_readers(data: bytes) -> None:
    """A value that is written as it was read, or `RemoteProtocolError`."""
    with suppress(RemoteProtocolError):
        nonce, port, unit_id = read_probe(data)
        again = write_scan(nonce, port) if unit_id is None else write_online_check(unit_id, nonce, port)
        assert data == again
    with suppress(RemoteProtocolError):
        answer = read_online_answer(data)
        assert data == write_online_answer(answer.unit_id, answer.nonce)
    with suppress(RemoteProtocolError):
        found = read_scan_answer(data)
        assert found == read_scan_answer(write_scan_answer(found))
        assert len(data) <= MAX_ANSWER_BYTES
    with suppress(RemoteProtocolError):
        assert data == write_register_order(read_register_order(data))
    mac = woken_by(data)
    assert mac is None or write_magic_packet(mac) in data


@settings(deadline=None, max_examples=200)
@given(scan_answers)
def test_scan_answers_both_ways(answer: ScanAnswer) -> None:
    """What is written is read, cut to what fits."""
    read = read_scan_answer(write_scan_answer(answer))

    assert (answer.nonce, answer.unit_id, answer.mac, answer.has_ums) == (
        read.nonce, read.unit_id, read.mac, read.has_ums,
    )  # fmt: skip
    assert answer.name.startswith(read.name)


@settings(deadline=None, max_examples=200)
@given(
    st.lists(st.tuples(broken(), st.sampled_from(["127.0.0.1", "127.0.0.2"]), st.floats(0, 2)), max_size=30), st.data()
)
def test_online_check_believes_nobody_without_the_nonce(
    what: list[tuple[bytes, str, float]], data: st.DataObject
) -> None:
    """Strange answers, real ones among them, in any order and at any time: each device has one end, and a true one."""
    targets = [Target(unit_id, "127.0.0.1", 1) for unit_id in UNITS]
    check = OnlineCheck(CheckRules(tries=2, parallel=3), reply_port=1, entropy=Random(1).randbytes)
    check.begin(targets)
    now, answered, ends = 0.0, set[str](), dict[str, type]()
    while not check.over:
        questions = check.output(now, 2)
        for payload, host, later in what:
            check.receive(payload, host, now + later / 100)
        for question in questions:
            if data.draw(st.booleans()):
                answer = write_online_answer(question.target.unit_id, question.nonce)
                assert Verdict.GOOD is check.receive(answer, "127.0.0.1", now)
                answered.add(question.target.unit_id)
        now += 0.6
        check.on_deadline(now)
        for event in check.events():
            assert event.unit_id not in ends
            ends[event.unit_id] = type(event)

    assert {unit_id: Reached if unit_id in answered else Missed for unit_id in UNITS} == ends
    assert len(check._flights) <= 2 * len(UNITS)


@settings(deadline=None, max_examples=200)
@given(st.lists(broken(), max_size=50))
def test_scan_keeps_what_is_an_answer(what: list[bytes]) -> None:
    """And one device once."""
    scan = Scan([], nonce=bytes(16), reply_port=1)
    for data in what:
        scan.receive(data, "127.0.0.1")

    assert len(what) == scan.verdicts.total()
    assert len(scan.found) <= len(what)


class _Sink(UdpEndpoint):
    """Takes what is sent."""

    def __init__(self) -> None:
        self.sent: list[tuple[bytes, Address]] = []

    @property
    def address(self) -> Address:
        return Address("127.0.0.1", 30_005)

    def send_to(self, payload: bytes, to: Address, *, unit_id: UnitId | None = None, source: str = "") -> bool:
        del unit_id, source
        self.sent.append((payload, to))
        return True

    def receive_nowait(self, most: int) -> list[Received]:
        del most
        return []

    async def until_readable(self) -> None:
        """Never."""

    def close(self) -> None:
        """Nothing to close."""


@settings(deadline=None, max_examples=300)
@given(st.lists(st.tuples(broken(), st.sampled_from(["127.0.0.1", "127.3.0.1", "255.255.255.255"])), max_size=30))
def test_devices_answer_probes_and_nothing_else(what: list[tuple[bytes, str]]) -> None:
    """Each answer is for a probe that was read, goes to who sent it, and has its nonce; nobody wakes by it."""
    sink = _Sink()
    answering, waking = Answering(sink), Waking(sink)
    for number, unit_id in enumerate(UNITS):
        mac = MacAddress(unit_id)
        address = "127.3.0.1" if number == 0 else ""
        answering.join(Answerer(unit_id=unit_id, mac=mac, name="n", product="p", firmware="11.10.210", address=address))
    for data, destination in what:
        sink.sent.clear()
        probe: Probe | None = None
        with suppress(RemoteProtocolError):
            probe = read_probe(data)
        received = Received(data, Address("127.0.0.9", 77), destination)
        answering._take(received)
        waking._take(received)
        answering._answer_scans()

        assert len(sink.sent) <= len(UNITS)
        for answer, to in sink.sent:
            assert probe is not None
            assert Address("127.0.0.9", probe.reply_port or 77) == to
            assert probe.nonce == (read_online_answer(answer) if probe.unit_id else read_scan_answer(answer)).nonce


@settings(deadline=None, max_examples=300)
@given(
    st.lists(
        st.tuples(broken() | orders.map(write_register_order), st.sampled_from(["127.0.0.8", "127.0.0.9"])), max_size=20
    ),
    orders,
)
def test_only_who_has_scanned_gives_orders(what: list[tuple[bytes, str]], asked: RegisterOrder) -> None:
    """Whatever else comes from wherever: a device is told of orders with the nonce of a scan, by who has scanned."""
    told = list[tuple[RegisterOrder, str]]()

    def ordered(order: RegisterOrder, host: str) -> bool:
        told.append((order, host))
        return True

    answering = Answering(_Sink())
    mac = MacAddress("0" * 12)
    answering.join(Answerer(unit_id=asked.unit_id, mac=mac, name="", product="", firmware="12", ordered=ordered))
    scans = {(asked.nonce, "127.0.0.9")}
    answering._take(Received(write_scan(asked.nonce, 0), Address("127.0.0.9", 77), "127.0.0.1"))
    for data, host in [*what, (write_register_order(asked), "127.0.0.9")]:
        with suppress(RemoteProtocolError):
            probe = read_probe(data)
            scans |= {(probe.nonce, host)} if probe.unit_id is None else set()
        answering._take(Received(data, Address(host, 77), "127.0.0.1"))
        answering._answer_scans()

    assert (asked, "127.0.0.9") == told[-1]
    assert all(order.unit_id == asked.unit_id and (order.nonce, host) in scans for order, host in told)
    assert len(told) == answering.counters["orders"]


@settings(deadline=None, max_examples=100)
@given(st.lists(broken(), max_size=4), st.booleans())
def test_whatever_comes_over_tcp(what: list[bytes], silent: bool) -> None:  # noqa: FBT001 - drawn
    """A scan is answered, anything else is not; it ends in time, and the device is there for the next (T14)."""

    async def call() -> tuple[bytes, int]:
        network = MemoryNetwork(latency=0.1)
        answering, listener = Answering(_Sink()), await network.host("device").listen("", 1)
        answering.join(Answerer(unit_id=UNITS[0], mac=MacAddress(UNITS[0]), name="n", product="p", firmware="11"))
        heard = b""
        async with trio.open_nursery() as nursery:
            transport = await network.host("ums").dial(HostPort("device", 1))
            nursery.start_soon(answering.answer_over_tcp, await listener.accept(), "device")
            with suppress(trio.BrokenResourceError):
                for data in what:
                    await transport.send_all(data)
                if not silent:
                    await transport.send_eof()
                while some := await transport.receive_some():
                    heard += some
            transport.abort()
        assert trio.current_time() <= TCP_SECONDS + 1
        return heard, answering.counters["scans"]

    heard, scans = trio.run(call, clock=MockClock(autojump_threshold=0))
    probe: Probe | None = None
    with suppress(RemoteProtocolError):
        probe = read_probe(b"".join(what)[:HEAD_BYTES])
    if probe is not None and probe.unit_id is None:
        assert (probe.nonce, 1) == (read_scan_answer(heard).nonce, scans)
    else:
        assert (b"", 0) == (heard, scans)


@settings(deadline=None, max_examples=300)
@given(st.text(max_size=40) | st.from_regex(r"[0-9./-]{1,30}"))
def test_ranges(text: str) -> None:
    """A bounded number of addresses, or the one declared error."""
    with suppress(InvalidValueError):
        assert 0 < len(parse_ranges([text])) <= MAX_ADDRESSES
    with suppress(InvalidValueError):
        assert 8 <= parse_subnet(text).prefixlen <= 28
