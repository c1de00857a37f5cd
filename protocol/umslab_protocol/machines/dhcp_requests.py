# SPDX-License-Identifier: Apache-2.0
"""What a DHCP client says: who it is, and the messages it sends in each situation.

Provenance: standard (RFC 2131 section 4.3.6, tables 4 and 5) with the options of IGEL OS: vendor class and option 43 by
firmware (D2, D3, D7). The other options it asks for are those of dhclient's usual configuration (D10), not IGEL's own
list, which is not published.
"""

from __future__ import annotations

from dataclasses import dataclass
from ipaddress import IPv4Address
from typing import TYPE_CHECKING

from umslab_protocol.wire.dhcp import (
    BROADCAST_FLAG,
    CLIENT_PORT,
    NOWHERE,
    SERVER_PORT,
    DhcpMessage,
    MessageType,
    Op,
    write_message,
)
from umslab_protocol.wire.dhcp_options import Code, Option
from umslab_protocol.wire.igel_dhcp import requested_codes, vendor_class

if TYPE_CHECKING:
    from umslab_protocol.values.firmware import FirmwareVersion
    from umslab_protocol.values.unit_id import MacAddress

EVERYBODY = IPv4Address("255.255.255.255")
MAX_SECS = 0xFFFF
USUAL_PARAMETERS = (1, 28, 2, 3, 15, 6, 119, 12, 26, 121, 42)
"""Subnet mask, broadcast, time offset, routers, domain, DNS, search, host name, MTU, classless routes, NTP."""


@dataclass(frozen=True, slots=True)
class Relay:
    """Speak as a relay agent would, so that no raw socket is needed: from `giaddr`, to one server."""

    giaddr: IPv4Address
    server: IPv4Address


@dataclass(frozen=True, slots=True, kw_only=True)
class ClientIdentity:
    """Who asks, and for what."""

    mac: bytes
    vendor_class: bytes | None
    parameters: tuple[int, ...]
    host_name: str = ""
    client_id: bytes = b""
    """Option 61; empty: not sent, as dhclient does."""
    broadcast: bool = False
    """Ask for answers by broadcast, for sockets that get no packet for an address they do not have yet."""
    relay: Relay | None = None
    max_message_bytes: int | None = None
    """Option 57; None: not sent, as dhclient does."""


def igel_identity(
    mac: MacAddress,
    firmware: FirmwareVersion,
    *,
    host_name: str = "",
    extra_codes: tuple[int, ...] = (),
    broadcast: bool = False,
    relay: Relay | None = None,
) -> ClientIdentity:
    """Describe a device with this firmware; `extra_codes` are those of the options of OS 12.7.2 (SIMULATED, D11)."""
    return ClientIdentity(
        mac=bytes.fromhex(mac),
        vendor_class=vendor_class(firmware),
        parameters=(*USUAL_PARAMETERS, *requested_codes(firmware), *extra_codes),
        host_name=host_name,
        broadcast=broadcast,
        relay=relay,
    )


@dataclass(frozen=True, slots=True)
class Datagram:
    """One datagram to send, and between which ends."""

    payload: bytes
    source: IPv4Address
    source_port: int
    destination: IPv4Address
    destination_port: int = SERVER_PORT

    @property
    def broadcast(self) -> bool:
        """Whether it goes to everybody on the link."""
        return self.destination == EVERYBODY


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """What one message says beyond who says it."""

    kind: MessageType
    ciaddr: IPv4Address = NOWHERE
    """The address it has already."""
    wanted: IPv4Address | None = None
    """Option 50."""
    server: IPv4Address | None = None
    """Option 54."""
    unicast_to: IPv4Address | None = None
    text: str = ""
    """Option 56."""


_WITHOUT_PARAMETERS = {MessageType.RELEASE, MessageType.DECLINE}  # RFC 2131 table 5: MUST NOT


def make_datagram(identity: ClientIdentity, request: Request, *, xid: int, elapsed: float) -> Datagram:
    """Write one message of this client; `elapsed` are the seconds since it began to ask."""
    relay = identity.relay
    short = request.kind in _WITHOUT_PARAMETERS
    message = DhcpMessage(
        op=Op.REQUEST,
        xid=xid,
        hops=0 if relay is None else 1,
        secs=0 if short else min(MAX_SECS, max(0, int(elapsed))),
        flags=BROADCAST_FLAG if identity.broadcast and request.ciaddr == NOWHERE else 0,
        ciaddr=request.ciaddr,
        giaddr=NOWHERE if relay is None else relay.giaddr,
        chaddr=identity.mac,
        options=tuple(_options(identity, request, short=short)),
    )
    payload = write_message(message)
    if relay is not None:
        return Datagram(payload, relay.giaddr, SERVER_PORT, relay.server)
    return Datagram(payload, request.ciaddr, CLIENT_PORT, request.unicast_to or EVERYBODY)


def _options(identity: ClientIdentity, request: Request, *, short: bool) -> list[Option]:
    options = [Option(Code.MESSAGE_TYPE, bytes((request.kind,)))]
    if request.server is not None:
        options.append(Option(Code.SERVER_ID, request.server.packed))
    if request.wanted is not None:
        options.append(Option(Code.REQUESTED_ADDRESS, request.wanted.packed))
    if identity.client_id:
        options.append(Option(Code.CLIENT_ID, identity.client_id))
    if request.text:
        options.append(Option(Code.MESSAGE, request.text.encode()))
    if short:
        return options
    if identity.host_name:
        options.append(Option(Code.HOST_NAME, identity.host_name.encode()))
    if identity.max_message_bytes is not None:
        options.append(Option(Code.MAX_MESSAGE_BYTES, identity.max_message_bytes.to_bytes(2)))
    if identity.vendor_class is not None:
        options.append(Option(Code.VENDOR_CLASS, identity.vendor_class))
    return [*options, Option(Code.PARAMETER_LIST, bytes(identity.parameters))]
