# SPDX-License-Identifier: Apache-2.0
"""Tests of umslab_protocol.wire.mdns; any bytes are in tests/fuzz/test_protocol_mdns.py."""

from __future__ import annotations

import pytest

from umslab_protocol.errors import InvalidValueError
from umslab_protocol.wire.mdns import (
    DEFAULT_NAME,
    MAX_ADDRESSES,
    SERVICE_TYPE,
    MdnsError,
    MdnsProblem,
    UmsService,
    in_order,
    instance_of,
    parse_instance_name,
    parse_own_address,
    read_service,
    read_txt,
    write_txt,
)


def test_txt() -> None:
    """What is written is read; keys in any case, the first counts, what is no key is passed over (RFC 6763)."""
    assert {"txtvers": b"1", "product": b"umslab simulation"} == read_txt(write_txt())
    assert {"a": b"1", "flag": b""} == read_txt(b"\x03A=1\x03a=2\x04flag\x00\x02=x\x02\xffx")
    assert {} == read_txt(b"")


@pytest.mark.parametrize(
    ("data", "problem"),
    [
        (b"\x05ab", MdnsProblem.MALFORMED),
        (b"\x01a" * 651, MdnsProblem.MALFORMED),
        (b"\x09txtvers=2", MdnsProblem.OTHER_VERSION),
    ],
)
def test_txt_that_cannot_be_used(data: bytes, problem: MdnsProblem) -> None:
    """Longer than it is, too long, or made for somebody else."""
    with pytest.raises(MdnsError) as error:
        read_txt(data)
    assert problem is error.value.problem


def test_a_service() -> None:
    """Addresses are sorted, counted once, and bounded."""
    name = f"My.UMS.{SERVICE_TYPE.upper()}"
    service = read_service(name, port=8443, addresses=["10.0.0.9", "10.0.0.1", "10.0.0.9"], txt=b"", priority=3)

    assert UmsService(name="My.UMS", port=8443, addresses=("10.0.0.1", "10.0.0.9"), priority=3) == service
    many = read_service(name, port=1, addresses=[f"10.0.0.{number}" for number in range(99)], txt=b"")
    assert MAX_ADDRESSES == len(many.addresses)


@pytest.mark.parametrize(
    ("name", "port", "addresses", "problem"),
    [
        ("x._http._tcp.local.", 1, ["10.0.0.1"], MdnsProblem.MALFORMED),
        (f".{SERVICE_TYPE}", 1, ["10.0.0.1"], MdnsProblem.MALFORMED),
        (SERVICE_TYPE, 1, ["10.0.0.1"], MdnsProblem.MALFORMED),
        (f"red\x1b[31m.{SERVICE_TYPE}", 1, ["10.0.0.1"], MdnsProblem.MALFORMED),
        (f"turned\u202e.{SERVICE_TYPE}", 1, ["10.0.0.1"], MdnsProblem.MALFORMED),
        (f"{'x' * 64}.{SERVICE_TYPE}", 1, ["10.0.0.1"], MdnsProblem.MALFORMED),
        (f"x.{SERVICE_TYPE}", 1, ["fe80::1"], MdnsProblem.MALFORMED),
        (f"x.{SERVICE_TYPE}", 70_000, ["10.0.0.1"], MdnsProblem.MALFORMED),
        (f"x.{SERVICE_TYPE}", 0, ["10.0.0.1"], MdnsProblem.NO_ADDRESS),
        (f"x.{SERVICE_TYPE}", None, ["10.0.0.1"], MdnsProblem.NO_ADDRESS),
        (f"x.{SERVICE_TYPE}", 1, [], MdnsProblem.NO_ADDRESS),
    ],
)
def test_services_that_cannot_be_used(name: str, port: int | None, addresses: list[str], problem: MdnsProblem) -> None:
    """Each with its reason."""
    with pytest.raises(MdnsError) as error:
        read_service(name, port=port, addresses=addresses, txt=b"")
    assert problem is error.value.problem


def test_order() -> None:
    """By priority, name and address as a number: the same every time."""
    services = [
        UmsService(name="b", port=1, addresses=("10.0.0.1",)),
        UmsService(name="a", port=1, addresses=("10.0.0.10",)),
        UmsService(name="a", port=1, addresses=("10.0.0.9",)),
        UmsService(name="z", port=1, addresses=("ums.lab",), priority=0),
        UmsService(name="a", port=1, addresses=("10.0.0.1",), priority=1),
    ]

    assert [services[index] for index in (2, 1, 0, 3, 4)] == list(in_order(services)) == list(in_order(services[::-1]))


def test_what_users_say() -> None:
    """Names that DNS can carry, and addresses to speak from."""
    assert DEFAULT_NAME == parse_instance_name(DEFAULT_NAME) == instance_of(f"{DEFAULT_NAME}.{SERVICE_TYPE}")
    assert "10.0.0.1" == parse_own_address("10.0.0.1")
    for name in ("", "x" * 64, "ä" * 32, "a\nb"):
        with pytest.raises(InvalidValueError):
            parse_instance_name(name)
    for address in ("0.0.0.0", "224.0.0.251", "::1", "eth0"):
        with pytest.raises(InvalidValueError):
            parse_own_address(address)
