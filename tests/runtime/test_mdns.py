# SPDX-License-Identifier: Apache-2.0
"""Tests of umslab_runtime.mdns: where it may speak, and on loopback that it does; avahi is in tests/foreign.

Loopback is shared with whoever else is on this machine, so each test announces a name that nobody has.
"""

from __future__ import annotations

import secrets
import socket
import threading

import pytest
import trio

from umslab_runtime.mdns import MAX_INTERFACES, Place, announce, find_places, own_addresses
from umslab_runtime.namespaces import Whereabouts
from umslab_runtime.net_trio import TrioNetwork
from umslab_runtime.network import EVERYWHERE, ListenError
from umslab_runtime.policy import TargetRefusedError

OWN = {"127.0.0.1": "lo", "10.0.0.1": "eth0", "10.0.0.2": "eth0", "192.168.1.1": "eth1", "8.8.8.8": "eth2"}
PATIENCE = 30


def places(*on: str, named: bool = False, where: Whereabouts = Whereabouts.MACHINE) -> tuple[Place, ...]:
    """Where a machine with many interfaces would speak."""
    return find_places(on, user_named=named, own=OWN, where=where)


def test_where() -> None:
    """Loopback is free, a namespace that umslab made too; elsewhere the user names the address; one place a link."""
    loopback, first = Place("lo", ("127.0.0.1",)), Place("eth0", ("10.0.0.1", "10.0.0.2"))

    for where in (Whereabouts.MACHINE, Whereabouts.APART):
        assert (loopback,) == places(EVERYWHERE, where=where) == places("127.0.0.1", EVERYWHERE, where=where)
    made = places(EVERYWHERE, where=Whereabouts.MADE)
    assert (loopback, first, Place("eth1", ("192.168.1.1",))) == made
    assert (first,) == places("10.0.0.1", "10.0.0.2", named=True)
    assert (Place("lo", ("127.0.0.7",)),) == places("::1", "127.0.0.7")


@pytest.mark.parametrize(
    ("on", "named", "where", "words"),
    [
        (("10.0.0.1",), False, Whereabouts.MACHINE, "say so with --mdns-on 10.0.0.1"),
        (("127.0.0.1", "10.0.0.1"), False, Whereabouts.APART, "say so with --mdns-on 10.0.0.1"),
        (("8.8.8.8",), True, Whereabouts.MADE, "public address"),
    ],
)
def test_where_not(on: tuple[str, ...], named: bool, where: Whereabouts, words: str) -> None:  # noqa: FBT001
    """Refused in a sentence that says what to do."""
    with pytest.raises(TargetRefusedError, match=words):
        places(*on, named=named, where=where)


def test_nowhere() -> None:
    """An address of somebody else, IPv6 alone, or more interfaces than anybody has."""
    with pytest.raises(ListenError, match=r"10\.0\.0\.9 is not an address of this machine"):
        places("10.0.0.9", named=True)
    with pytest.raises(ListenError, match="needs an IPv4 address"):
        places("::1")
    many = {f"10.0.{number}.1": f"eth{number}" for number in range(MAX_INTERFACES + 1)}
    with pytest.raises(ListenError, match="needs an IPv4 address"):
        find_places([EVERYWHERE], user_named=False, own=many, where=Whereabouts.MADE)


def test_own_addresses() -> None:
    """The machine is asked."""
    assert dict(socket.if_nameindex())[1] == own_addresses()["127.0.0.1"]


async def until_heard(name: str, wanted: set[int]) -> dict[str, int]:
    """Search until these ports, and no others, are announced under names that begin so; all of those names."""
    while True:
        browsed = await TrioNetwork().browse(patience=PATIENCE if wanted else 1, settle=0.3)
        ours = {one.name: one.port for one in browsed.services if one.name.startswith(name)}
        if wanted == set(ours.values()):
            return ours


async def test_announced_found_withdrawn() -> None:
    """On loopback a search finds what is announced, under another name where it is taken, until it is withdrawn."""
    network, name = TrioNetwork(), f"test {secrets.token_hex(8)}"
    with trio.fail_after(2 * PATIENCE):
        async with network.announce(name, 4711, on=["127.0.0.1"]):
            assert {name: 4711} == await until_heard(name, {4711})
            async with network.announce(name, 4712, on=["127.0.0.1"]) as second:
                assert {name: 4711, f"{name}-2": 4712} == await until_heard(name, {4711, 4712})
                while not (stands := second.stands()):  # it has said so three times first
                    await until_heard(name, {4711, 4712})
                assert [(f"{name}-2", ("127.0.0.1",))] == [(one.name, one.addresses) for one in stands]
                second.withdraw()
                second.withdraw()
                await until_heard(name, {4711})
        await until_heard(name, set())
    assert not any(thread.name.startswith("umslab mdns") for thread in threading.enumerate())


async def test_cancelled() -> None:
    """A search and an announcement that are cancelled leave nothing behind."""
    with trio.move_on_after(0.1) as scope:
        async with TrioNetwork().announce(secrets.token_hex(8), 1, on=["127.0.0.1"]):
            await trio.sleep_forever()
    assert scope.cancelled_caught
    with trio.move_on_after(0.1) as scope:
        await TrioNetwork().browse(patience=PATIENCE)
    assert scope.cancelled_caught
    assert not any(thread.name.startswith("umslab mdns") for thread in threading.enumerate())


async def test_errors_are_told_alone() -> None:
    """What keeps mDNS from working is one sentence, in no group; so is an error of the block."""
    with pytest.raises(TargetRefusedError, match="public"):
        async with TrioNetwork().announce("x", 1, on=["8.8.4.4"], user_named=True):
            pass
    with pytest.raises(ListenError, match="not an address"):
        await TrioNetwork().browse(on=["10.99.98.97"], user_named=True)
    with pytest.raises(ListenError, match="does not work here"):
        async with announce("x", 1, [Place("no-such-if", ("127.0.0.1",))]):
            pass
    with pytest.raises(KeyError):
        async with TrioNetwork().announce(secrets.token_hex(8), 1, on=["127.0.0.1"]):
            raise KeyError
