# SPDX-License-Identifier: Apache-2.0
"""Tests of umslab_protocol.machines.dhcp_requests."""

from __future__ import annotations

from dataclasses import replace
from ipaddress import IPv4Address

import pytest

from umslab_protocol.machines.dhcp_requests import ClientIdentity, Request, igel_identity, make_datagram
from umslab_protocol.values.firmware import FirmwareVersion
from umslab_protocol.values.unit_id import MacAddress
from umslab_protocol.wire.dhcp import DhcpMessage, MessageType, read_message
from umslab_protocol.wire.dhcp_options import Code, Option

MAC = MacAddress("00E0C5000001")


def _identity(firmware: str = "12.8.4") -> ClientIdentity:
    return igel_identity(MAC, FirmwareVersion.parse(firmware), host_name="ITC00E0C5000001")


def _message(identity: ClientIdentity, kind: MessageType = MessageType.DISCOVER, elapsed: float = 0.0) -> DhcpMessage:
    return read_message(make_datagram(identity, Request(kind=kind), xid=1, elapsed=elapsed).payload)


@pytest.mark.parametrize(
    ("firmware", "wanted", "vendor"),
    [("11.03.500", {224}, False), ("11.04.100", {43, 224, 226}, True), ("12.8.4", {43, 224, 226}, True)],
)
def test_options_by_firmware(firmware: str, wanted: set[int], *, vendor: bool) -> None:
    """D2, D3: vendor class and option 43 from 11.04.100 on."""
    message = _message(_identity(firmware))
    parameters = message.get(Code.PARAMETER_LIST)

    assert parameters is not None
    assert wanted == set(parameters.value) & {43, 224, 226}
    assert {1, 3, 6, 15} <= set(parameters.value)
    assert vendor == (message.get(Code.VENDOR_CLASS) == Option(60, b"igel-dhcp-1"))
    assert Option(12, b"ITC00E0C5000001") == message.get(Code.HOST_NAME)


def test_what_dhclient_does_not_send() -> None:
    """Client identifier and largest message are sent when they are asked for."""
    plain = _message(_identity())
    full = _message(replace(_identity(), client_id=b"\x01abcdef", max_message_bytes=1500))

    assert None is plain.get(Code.CLIENT_ID) is plain.get(Code.MAX_MESSAGE_BYTES)
    assert Option(61, b"\x01abcdef") == full.get(Code.CLIENT_ID)
    assert Option(57, b"\x05\xdc") == full.get(Code.MAX_MESSAGE_BYTES)


def test_extra_codes_are_asked_for() -> None:
    """SIMULATED (D11): off unless given."""
    identity = igel_identity(MAC, FirmwareVersion(12, 8, 4), extra_codes=(240, 241))

    assert (240, 241) == identity.parameters[-2:]


@pytest.mark.parametrize("kind", [MessageType.RELEASE, MessageType.DECLINE])
def test_short_messages(kind: MessageType) -> None:
    """RFC 2131 table 5: no parameters, no vendor class, no seconds."""
    message = _message(_identity(), kind, elapsed=9.0)

    assert [Code.MESSAGE_TYPE] == [option.code for option in message.options]
    assert 0 == message.secs


@pytest.mark.parametrize(("elapsed", "secs"), [(0.9, 0), (61.2, 61), (1e9, 65535), (-1.0, 0)])
def test_seconds_fit(elapsed: float, secs: int) -> None:
    """Two bytes."""
    assert secs == _message(_identity(), elapsed=elapsed).secs


def test_ends() -> None:
    """Broadcast unless it is told otherwise."""
    request = Request(kind=MessageType.REQUEST, ciaddr=IPv4Address("192.0.2.50"))
    everybody = make_datagram(_identity(), request, xid=1, elapsed=0)
    one = make_datagram(_identity(), replace(request, unicast_to=IPv4Address("192.0.2.1")), xid=1, elapsed=0)

    assert (True, False) == (everybody.broadcast, one.broadcast)
    assert (IPv4Address("192.0.2.50"), 68, 67) == (one.source, one.source_port, one.destination_port)
