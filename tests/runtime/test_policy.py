# SPDX-License-Identifier: Apache-2.0
"""Tests of umslab_runtime.policy: every class of address. That refusals send nothing is proved in tests/safety."""

from __future__ import annotations

from ipaddress import ip_address

import pytest

from umslab_protocol.values.unit_id import UnitId
from umslab_runtime.policy import (
    LOOPBACK_ONLY,
    MOST_ARRIVALS_OUTSIDE,
    MOST_DEVICES_OUTSIDE,
    TargetPolicy,
    TargetRefusedError,
    check_multicast,
    effective_address,
)

REAL = UnitId("00E0C514325B")
SIMULATED = UnitId("02E0C514325B")

LOOPBACK = ["127.0.0.1", "127.255.255.254", "::1", "::ffff:127.0.0.1"]
PRIVATE = [
    "10.0.0.1",
    "172.16.0.1",
    "172.31.255.254",
    "192.168.1.10",
    "169.254.10.20",
    "fd00::1",
    "fe80::1",
    "fe80::1%eth0",
    "::ffff:192.168.1.10",
    "::ffff:10.0.0.1",
]
PUBLIC = [
    "8.8.8.8",
    "172.32.0.1",
    "192.167.255.255",
    "193.0.0.1",
    "100.64.0.1",
    "2001:4860:4860::8888",
    "::ffff:8.8.8.8",
]
NO_MACHINE = [
    "0.0.0.0",
    "255.255.255.255",
    "224.0.0.1",
    "239.255.255.250",
    "240.0.0.1",
    "::",
    "ff02::1",
    "ff05::2",
    "::ffff:0.0.0.0",
    "::ffff:255.255.255.255",
    "::ffff:224.0.0.251",
    "::127.0.0.1",
]


def owning(*addresses: str) -> TargetPolicy:
    """The policy of a user who says to own these."""
    return TargetPolicy(owned=frozenset(ip_address(address) for address in addresses))


def refusal(policy: TargetPolicy, address: str, unit_id: UnitId | None = None) -> str:
    """Why the address is refused."""
    with pytest.raises(TargetRefusedError) as refused:
        policy.check(address, unit_id)
    return str(refused.value)


@pytest.mark.parametrize("address", LOOPBACK)
@pytest.mark.parametrize("unit_id", [None, SIMULATED, REAL])
def test_loopback_is_free(address: str, unit_id: UnitId | None) -> None:
    """This machine may be called by any simulated device, also by one with a real endpoint's unit ID."""
    LOOPBACK_ONLY.check(address, unit_id)


@pytest.mark.parametrize("address", PRIVATE)
def test_private_addresses_need_the_users_word(address: str) -> None:
    """An address outside this machine is refused, and the message says how to consent."""
    said = refusal(LOOPBACK_ONLY, address)

    assert f"--i-own {effective_address(address)}" in said


@pytest.mark.parametrize("address", PRIVATE)
def test_owned_private_addresses_may_be_called(address: str) -> None:
    """The user's word opens exactly the address it names."""
    policy = owning(str(effective_address(address)))

    policy.check(address)
    policy.check(address, SIMULATED)
    assert "--i-own" in refusal(policy, "192.168.99.99")


@pytest.mark.parametrize("address", PRIVATE)
@pytest.mark.parametrize("unit_id", [REAL, UnitId("85641000ABCDEFGH12")])
def test_unit_ids_outside_loopback_are_nobodys(address: str, unit_id: UnitId) -> None:
    """A unit ID that a real endpoint could have is refused, with one that would do."""
    said = refusal(owning(str(effective_address(address))), address, unit_id)

    assert f"such as 02{unit_id[2:12]}" in said


@pytest.mark.parametrize("address", PUBLIC)
def test_public_addresses_are_refused_also_when_owned(address: str) -> None:
    """No word of the user's opens the Internet."""
    policy = owning(str(effective_address(address)))

    assert "public address" in refusal(policy, address)
    assert "public address" in refusal(LOOPBACK_ONLY, address, SIMULATED)


@pytest.mark.parametrize("address", NO_MACHINE)
def test_what_is_no_machine_is_refused_also_when_owned(address: str) -> None:
    """Multicast, broadcast, unspecified and reserved addresses are never called."""
    policy = owning(str(effective_address(address)))

    assert "not the address of one machine" in refusal(policy, address)


def test_mapped_addresses_are_what_they_map() -> None:
    """An IPv4 address in IPv6 clothes is judged as itself, and a zone does not matter."""
    assert ip_address("10.1.2.3") == effective_address("::ffff:10.1.2.3")
    assert ip_address("fe80::1") == effective_address("fe80::1%eth0")
    assert ip_address("fd00::1") == effective_address("fd00::1")


def test_policy_does_not_change() -> None:
    """Nobody adds an address to a policy that is in use."""
    with pytest.raises(AttributeError):
        LOOPBACK_ONLY.owned = frozenset()  # type: ignore[misc]
    assert frozenset() == LOOPBACK_ONLY.owned


IN_NAMESPACE = TargetPolicy(namespace=True)


def test_namespace_frees_its_neighbours() -> None:
    """Inside a namespace that umslab made, private addresses need no word of the user; public ones stay refused."""
    for address in PRIVATE:
        IN_NAMESPACE.check(address, SIMULATED)
        with pytest.raises(TargetRefusedError):
            IN_NAMESPACE.check(address, REAL)
    for address in (*PUBLIC, *NO_MACHINE):
        with pytest.raises(TargetRefusedError):
            IN_NAMESPACE.check(address)


def test_broadcast_needs_the_namespace() -> None:
    """A datagram may go to everybody there, and nowhere else; a connection never."""
    IN_NAMESPACE.check_datagram("255.255.255.255")
    for policy in (LOOPBACK_ONLY, TargetPolicy(owned=frozenset({ip_address("255.255.255.255")}))):
        with pytest.raises(TargetRefusedError):
            policy.check_datagram("255.255.255.255")
    for address in ("0.0.0.0", "224.0.0.1", "8.8.8.8"):
        with pytest.raises(TargetRefusedError):
            IN_NAMESPACE.check_datagram(address)
    LOOPBACK_ONLY.check_datagram("127.0.0.1")


@pytest.mark.parametrize("address", ["127.0.0.1", "127.0.0.9"])
def test_multicast_on_loopback(address: str) -> None:
    """Nobody else hears it."""
    check_multicast(address, made=False, user_named=False)


@pytest.mark.parametrize("address", ["10.0.0.1", "192.168.1.10", "169.254.10.20"])
def test_multicast_on_a_network(address: str) -> None:
    """In a namespace that umslab made, or where the user names the address; else refused, with a way out."""
    check_multicast(address, made=True, user_named=False)
    check_multicast(address, made=False, user_named=True)
    with pytest.raises(TargetRefusedError, match=f"--mdns-on {address}"):
        check_multicast(address, made=False, user_named=False)


@pytest.mark.parametrize("address", ["8.8.8.8", "100.64.0.1", "0.0.0.0"])
def test_multicast_never(address: str) -> None:
    """Whatever the user says, and wherever it is."""
    with pytest.raises(TargetRefusedError, match="public address"):
        check_multicast(address, made=True, user_named=True)


def test_a_fleet_outside_is_small_and_slow() -> None:
    """On loopback, and in namespaces that umslab made, of any size; elsewhere within limits that the refusal names."""
    for policy, address in ((LOOPBACK_ONLY, "127.9.9.9"), (TargetPolicy(namespace=True), "10.0.0.1")):
        policy.check_load(address, 200_000, 200_000)
    owning("10.0.0.1").check_load("10.0.0.1", MOST_DEVICES_OUTSIDE, MOST_ARRIVALS_OUTSIDE)
    for devices, busiest in ((MOST_DEVICES_OUTSIDE + 1, 1), (1, MOST_ARRIVALS_OUTSIDE + 1)):
        with pytest.raises(TargetRefusedError, match=f"at most {MOST_DEVICES_OUTSIDE} devices"):
            owning("10.0.0.1").check_load("10.0.0.1", devices, busiest)
