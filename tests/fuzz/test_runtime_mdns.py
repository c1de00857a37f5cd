# SPDX-License-Identifier: Apache-2.0
"""Any bytes on UDP port 5353, read by zeroconf as the bridge has them read: services to try, or a named reason."""

from __future__ import annotations

import struct
from contextlib import suppress
from ipaddress import IPv4Address

from hypothesis import given, settings
from hypothesis import strategies as st
from zeroconf._dns import DNSAddress, DNSPointer, DNSService, DNSText
from zeroconf._protocol.incoming import DNSIncoming

from tests.foreign.mdns_noise import ADDRESS, POINTER, SERVICE, TEXT, TYPE, label, record
from umslab_protocol.machines.mdns_browse import MdnsBrowse
from umslab_protocol.wire.mdns import MAX_ADDRESSES, MdnsError, instance_of, read_service

HOST = label(b"host") + b"\x05local\0"
WHOLE = label(b"ums") + TYPE
GOOD = [
    record(TYPE, POINTER, WHOLE),
    record(WHOLE, SERVICE, struct.pack("!HHH", 0, 0, 8443) + HOST),
    record(WHOLE, TEXT, b"\x09txtvers=1"),
    record(HOST, ADDRESS, b"\x0a\x4d\x00\x01"),
]
packets = st.binary(max_size=300) | st.builds(
    lambda good, at, inserted, deleted: good[:at] + inserted + good[at + deleted :],
    st.sampled_from(GOOD), st.integers(0, 80), st.binary(max_size=6), st.integers(0, 6),
)  # fmt: skip


@settings(deadline=None, max_examples=200)
@given(st.lists(packets, max_size=6))
def test_any_packets(chosen: list[bytes]) -> None:
    """Whatever the records are, and whomever they are about."""
    browse, names, ports, texts, addresses = MdnsBrowse(0.0), set(), [8443], [b""], ["10.0.0.1"]
    for data in chosen:
        for found in DNSIncoming(data).answers():
            if isinstance(found, DNSPointer):
                names.add(found.alias)
            elif isinstance(found, DNSService):
                names.add(found.name)
                ports.append(found.port)
            elif isinstance(found, DNSText):
                texts.append(found.text)
            elif isinstance(found, DNSAddress) and len(found.address) == 4:
                addresses.append(str(IPv4Address(found.address)))
    for name in names:
        with suppress(MdnsError):
            browse.gone(instance_of(name))
        if browse.appeared(name):
            with suppress(MdnsError):
                browse.found(read_service(name, port=ports[-1], addresses=addresses, txt=texts[-1]), 1.0)

    assert all(len(service.addresses) <= MAX_ADDRESSES for service in browse.result().services)
