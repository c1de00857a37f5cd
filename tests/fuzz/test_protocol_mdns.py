# SPDX-License-Identifier: Apache-2.0
"""Whatever is announced by mDNS: a service that can be tried, or one of the named reasons."""

from __future__ import annotations

from contextlib import suppress
from ipaddress import IPv4Address

from hypothesis import example, given
from hypothesis import strategies as st

from umslab_protocol.machines.mdns_browse import MdnsBrowse
from umslab_protocol.wire.mdns import MAX_ADDRESSES, MAX_NAME_BYTES, MAX_SERVICES, SERVICE_TYPE, MdnsError, read_service

names = st.text(max_size=80) | st.text(max_size=70).map(lambda text: f"{text}.{SERVICE_TYPE}")
addresses = st.text(max_size=20) | st.integers(0, 2**32 - 1).map(lambda number: str(IPv4Address(number)))


@given(
    names,
    st.none() | st.integers(-5, 70_000),
    st.lists(addresses, max_size=12),
    st.binary(max_size=1400),
    st.integers(-5, 70_000),
)
@example(f"\ud800.{SERVICE_TYPE}", 1, ["10.0.0.1"], b"", 0)
def test_services(name: str, port: int | None, where: list[str], txt: bytes, priority: int) -> None:
    """What is accepted keeps every bound and can be printed."""
    with suppress(MdnsError):
        service = read_service(name, port=port, addresses=where, txt=txt, priority=priority)
        assert service.name.isprintable()
        assert len(service.name.encode()) <= MAX_NAME_BYTES
        assert 1 <= service.port <= 0xFFFF
        assert 1 <= len([IPv4Address(address) for address in service.addresses]) <= MAX_ADDRESSES


@given(st.lists(st.tuples(st.sampled_from(["appear", "found", "gone"]), st.integers(0, 40), st.floats(0, 10))))
def test_searches(heard: list[tuple[str, int, float]]) -> None:
    """In whatever order things are heard, a search ends in time and stays small."""
    browse = MdnsBrowse(0.0)
    for what, number, now in heard:
        name = f"ums {number}"
        if what == "gone":
            browse.gone(name)
        elif browse.appeared(f"{name}.{SERVICE_TYPE}") and what == "found":
            service = read_service(f"{name}.{SERVICE_TYPE}", port=8443, addresses=["10.0.0.1"], txt=b"")
            browse.found(service, now)
        assert browse.deadline() <= 5.0
    assert len(browse.result().services) <= MAX_SERVICES
