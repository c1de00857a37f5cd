# SPDX-License-Identifier: Apache-2.0
"""Tests of umslab_runtime.net_trio: the real network, never further than loopback.

What both networks promise is in test_network.py; who may be called in test_policy.py and in tests/safety.
"""

from __future__ import annotations

import errno
import os
import socket
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import pytest
import trio

from umslab_protocol.values.host_port import HostPort
from umslab_protocol.values.unit_id import UnitId
from umslab_runtime import net_trio
from umslab_runtime.net_trio import TrioNetwork
from umslab_runtime.network import DialError, DialProblem, ListenError
from umslab_runtime.policy import TargetRefusedError

from .carriers import PATIENCE

if TYPE_CHECKING:
    from trio.testing import MockClock

    from umslab_runtime.network import Listener


def has_ipv6() -> bool:
    """Whether loopback has IPv6 here."""
    try:
        with socket.socket(socket.AF_INET6) as sock:
            sock.bind(("::1", 0))
    except OSError:
        return False
    return True


needs_ipv6 = pytest.mark.skipif(not has_ipv6(), reason="this machine has no IPv6 on loopback")


class Resolver(trio.abc.HostnameResolver):
    """Answers name lookups without asking anybody."""

    def __init__(self, *addresses: str, fails: Exception | None = None) -> None:
        self._addresses = addresses
        self._fails = fails

    async def getaddrinfo(self, *_: object) -> list[Any]:
        """Return the addresses, each twice, as resolvers do."""
        if self._fails is not None:
            raise self._fails
        return [
            (socket.AF_INET, socket.SOCK_STREAM, 6, "", (address, 0)) for address in self._addresses for _ in range(2)
        ]

    async def getnameinfo(self, *_: object) -> tuple[str, str]:
        """Never asked for."""
        raise NotImplementedError


def resolve_to(*addresses: str, fails: Exception | None = None) -> None:
    """Let every name of this test resolve to these addresses."""
    trio.socket.set_custom_hostname_resolver(Resolver(*addresses, fails=fails))


# Listening.


@pytest.mark.parametrize("host", ["127.0.0.1", pytest.param("::1", marks=needs_ipv6)])
async def test_listens_on_either_family(host: str) -> None:
    """A listener takes connections of its family and knows who calls."""
    with trio.fail_after(PATIENCE):
        listener = await TrioNetwork().listen(host, 0)
        client = await TrioNetwork().dial(HostPort(host, listener.address.port))
        server = await listener.accept()

        assert (host, host, host) == (listener.address.host, client.peer.host, server.peer.host)
        assert client.peer.port == listener.address.port
        for closing in (client, server):
            closing.abort()
        listener.close()


@needs_ipv6
async def test_both_families_can_have_the_same_port() -> None:
    """A listener on every IPv6 address leaves the port of every IPv4 address alone."""
    six = await TrioNetwork().listen("::1", 0)
    four = await TrioNetwork().listen("127.0.0.1", six.address.port)

    assert f"[::1]:{four.address.port}" == str(six.address)
    six.close()
    four.close()


async def test_taken_port_says_what_to_do() -> None:
    """The message for a port in use names it and the way out."""
    listener = await TrioNetwork().listen("127.0.0.1", 0)
    wanted = rf"127\.0\.0\.1:{listener.address.port} is in use: stop the program .* \(0: any free one\)"

    with pytest.raises(ListenError, match=wanted):
        await TrioNetwork().listen("127.0.0.1", listener.address.port)
    listener.close()


async def test_foreign_address_is_named() -> None:
    """The message for an address of another machine says so."""
    with pytest.raises(ListenError, match=r"192\.0\.2\.1:0 is not an address of this machine"):
        await TrioNetwork().listen("192.0.2.1", 0)


async def test_nonsense_address_is_named() -> None:
    """What is no address at all is refused with the system's words."""
    with pytest.raises(ListenError, match="not an address at all:0 cannot be listened on: "):
        await TrioNetwork().listen("not an address at all", 0)


def test_privileged_port_says_what_to_do() -> None:
    """A user without the right to low ports is told to take another one."""
    error = net_trio._explain_bind("127.0.0.1", 443, PermissionError(errno.EACCES, "Permission denied"))

    assert error == "127.0.0.1:443 may not be listened on by this user: choose a port above 1023"


_STARVE = """
import os, resource, trio, trio.testing
from umslab_protocol.values.host_port import HostPort
from umslab_runtime.net_trio import TrioNetwork
from umslab_runtime.network import DialError

async def main():
    network = TrioNetwork()
    listener = await network.listen("127.0.0.1", 0)
    port = listener.address.port
    resource.setrlimit(resource.RLIMIT_NOFILE, (64, 64))
    client = await network.dial(HostPort("127.0.0.1", port))
    taken = []
    try:
        while True:
            taken.append(os.open("/dev/null", os.O_RDONLY))
    except OSError:
        pass
    try:
        await network.dial(HostPort("127.0.0.1", port))
    except DialError as error:
        print("dial:", error.problem, flush=True)

    async def free_some():
        await trio.testing.wait_all_tasks_blocked()
        print("waiting", flush=True)
        for descriptor in taken:
            os.close(descriptor)

    async with trio.open_nursery() as nursery:
        nursery.start_soon(free_some)
        server = await listener.accept()
    print("accepted", server.peer.host, flush=True)
    client.abort()
    server.abort()
    listener.close()

trio.run(main)
"""


def test_survives_running_out_of_descriptors() -> None:
    """Without a descriptor left, accepting waits and goes on later; dialling says whose fault it is."""
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", _STARVE],
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
    )

    assert done.stdout.splitlines() == ["dial: own-limit", "waiting", "accepted 127.0.0.1"]
    assert done.stderr == ""


async def test_other_errors_of_accept_are_not_hidden() -> None:
    """An error that waiting does not mend is raised: here a socket that does not listen at all."""
    listener = await TrioNetwork().listen("127.0.0.1", 0)
    listener._sock.shutdown(socket.SHUT_RDWR)  # type: ignore[attr-defined]

    with trio.fail_after(PATIENCE), pytest.raises(OSError, match="Invalid argument"):
        await listener.accept()
    listener.close()


async def test_closed_listener_is_closed() -> None:
    """A listener that was closed does not accept."""
    listener: Listener = await TrioNetwork().listen("127.0.0.1", 0)
    listener.close()

    with pytest.raises(trio.ClosedResourceError):
        await listener.accept()


# Resolving.


async def test_a_silent_address_leaves_time_for_the_next(
    monkeypatch: pytest.MonkeyPatch, autojump_clock: MockClock
) -> None:
    """A first address behind a firewall that drops costs ten seconds, not all the time there is."""

    async def connect(address: str, port: int, source: str) -> Any:
        if address == "127.0.0.2":
            await trio.sleep_forever()
        return address

    monkeypatch.setattr(net_trio, "_connect", connect)
    resolve_to("127.0.0.2", "127.0.0.1")
    began = trio.current_time()

    assert str(await TrioNetwork().dial(HostPort("ums.lab", 8443))) == "127.0.0.1"
    assert trio.current_time() - began == net_trio.ADDRESS_SECONDS


async def test_literals_resolve_to_themselves() -> None:
    """A literal address needs no resolver."""
    resolve_to(fails=AssertionError("nobody is to be asked"))

    assert await TrioNetwork().resolve("127.0.0.1") == ["127.0.0.1"]
    assert await TrioNetwork().resolve("::1") == ["::1"]


async def test_addresses_come_once_and_in_order() -> None:
    """What a resolver says twice counts once."""
    resolve_to("127.0.0.2", "127.0.0.1")

    assert await TrioNetwork().resolve("ums.lab") == ["127.0.0.2", "127.0.0.1"]


@pytest.mark.parametrize(
    ("code", "problem"),
    [
        (socket.EAI_NONAME, DialProblem.NAME_UNKNOWN),
        (socket.EAI_NODATA, DialProblem.NAME_UNKNOWN),
        (socket.EAI_AGAIN, DialProblem.RESOLVER),
        (socket.EAI_FAIL, DialProblem.RESOLVER),
    ],
)
async def test_unknown_names_and_silent_resolvers_are_told_apart(code: int, problem: DialProblem) -> None:
    """A name that does not exist is another matter than a DNS server that does not answer."""
    resolve_to(fails=socket.gaierror(code, "says the resolver"))

    with pytest.raises(DialError, match=r"the name ums\.lab could not be resolved: says the resolver") as failed:
        await TrioNetwork().resolve("ums.lab")
    assert problem is failed.value.problem


async def test_impossible_name() -> None:
    """A name that DNS cannot carry is unknown without asking."""
    with pytest.raises(DialError, match="is not a name DNS can carry") as failed:
        await TrioNetwork().resolve("x" * 64)
    assert DialProblem.NAME_UNKNOWN is failed.value.problem


async def test_name_without_an_address() -> None:
    """A name that resolves to nothing is unknown."""
    resolve_to()

    with pytest.raises(DialError, match=r"the name ums\.lab has no address") as failed:
        await TrioNetwork().dial(HostPort("ums.lab", 1))
    assert DialProblem.NAME_UNKNOWN is failed.value.problem


# Dialling.


async def test_first_address_that_answers_is_taken() -> None:
    """Addresses that refuse, or that may not be called, do not keep from one that answers."""
    with trio.fail_after(PATIENCE):
        listener = await TrioNetwork().listen("127.0.0.1", 0)
        resolve_to("127.0.0.2", "224.0.0.1", "127.0.0.1")

        client = await TrioNetwork().dial(HostPort("ums.lab", listener.address.port))

        assert client.peer.host == "127.0.0.1"
        client.abort()
        listener.close()


@pytest.mark.parametrize(
    ("addresses", "failure"),
    [(("127.0.0.2", "192.168.0.1"), DialError), (("192.168.0.1", "127.0.0.2"), TargetRefusedError)],
)
async def test_first_failure_is_told(addresses: tuple[str, str], failure: type[Exception]) -> None:
    """When no address answers, the failure of the first one is the one to know."""
    listener = await TrioNetwork().listen("127.0.0.2", 0)
    port = listener.address.port
    listener.close()
    resolve_to(*addresses)

    with trio.fail_after(PATIENCE), pytest.raises(failure, match=addresses[0].replace(".", r"\.")):
        await TrioNetwork().dial(HostPort("ums.lab", port))


@pytest.mark.parametrize("address", ["192.168.0.1", "8.8.8.8", "224.0.0.1", "::ffff:192.168.0.1", "0.0.0.0"])
async def test_policy_is_asked_for_the_resolved_address(address: str) -> None:
    """Whatever a name resolves to is judged, not the name; nothing was connected."""
    resolve_to(address)

    with pytest.raises(TargetRefusedError):
        await TrioNetwork().dial(HostPort("localhost", 1), unit_id=UnitId("00E0C514325B"))


@pytest.mark.parametrize(
    ("code", "problem", "words"),
    [
        (errno.ECONNREFUSED, DialProblem.REFUSED, "nothing listens there (connection refused)"),
        (errno.ETIMEDOUT, DialProblem.TIMEOUT, "no answer (timed out)"),
        (errno.EADDRNOTAVAIL, DialProblem.OWN_LIMIT, "this machine has no descriptor, port or memory left for it"),
        (errno.ENETUNREACH, DialProblem.UNREACHABLE, "Network is unreachable"),
        (errno.EHOSTUNREACH, DialProblem.UNREACHABLE, "No route to host"),
    ],
)
def test_system_errors_have_a_name_and_words(code: int, problem: DialProblem, words: str) -> None:
    """Each way in which the system refuses to connect is named, in words for people."""
    error = net_trio._dial_error("::1", 8443, OSError(code, os.strerror(code)))

    assert problem is error.problem
    assert f"[::1]:8443: {words}" == error.detail


async def test_cancelled_dial_leaves_nothing() -> None:
    """A dial that is given up closes its socket (pytest turns an open one into a failure)."""
    listener = await TrioNetwork().listen("127.0.0.1", 0)
    with trio.CancelScope() as scope:
        scope.cancel()
        await TrioNetwork().dial(HostPort("127.0.0.1", listener.address.port))
    listener.close()

    assert scope.cancelled_caught
