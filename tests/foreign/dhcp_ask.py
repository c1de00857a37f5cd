# SPDX-License-Identifier: Apache-2.0
"""Our DHCP client, asking a real server as a relay would: `python -m tests.foreign.dhcp_ask GIADDR SERVER FIRMWARE`.

Run inside a namespace of the test. Prints the options of the acknowledgement, one `CODE=HEX` a line, and releases.
"""

from __future__ import annotations

import random
import socket
import sys
import time
from ipaddress import IPv4Address

from umslab_protocol.machines.dhcp_client import DhcpClient
from umslab_protocol.machines.dhcp_events import Bound, Timing
from umslab_protocol.machines.dhcp_requests import Relay, igel_identity
from umslab_protocol.values.firmware import FirmwareVersion
from umslab_protocol.values.unit_id import MacAddress

GIVE_UP_SECONDS = 20.0


def main(giaddr: str, server: str, firmware: str) -> None:
    """Lease, print, release."""
    relay = Relay(IPv4Address(giaddr), IPv4Address(server))
    identity = igel_identity(MacAddress("020000000001"), FirmwareVersion.parse(firmware), relay=relay)
    chance = random.Random(giaddr)
    client = DhcpClient(identity, chance=chance.random, timing=Timing(first_wait=1.0, jitter=0.0))
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as door:
        door.bind((giaddr, 67))
        give_up = time.monotonic() + GIVE_UP_SECONDS
        client.start(time.monotonic())
        while time.monotonic() < give_up:
            for datagram in client.output():
                door.sendto(datagram.payload, (str(datagram.destination), datagram.destination_port))
            event = client.next_event()
            if isinstance(event, Bound):
                for option in event.lease.options:
                    sys.stdout.write(f"{option.code}={option.value.hex()}\n")
                client.release(time.monotonic())
                for datagram in client.output():
                    door.sendto(datagram.payload, (str(datagram.destination), datagram.destination_port))
                return
            deadline = client.deadline()
            door.settimeout(max(0.01, (deadline or give_up) - time.monotonic()))
            try:
                client.receive(door.recv(65_535), time.monotonic())
            except TimeoutError:
                client.on_deadline(time.monotonic())
    sys.exit(f"no lease: {client.state}, ignored {client.ignored}, malformed {client.malformed}")


if __name__ == "__main__":
    main(*sys.argv[1:4])
