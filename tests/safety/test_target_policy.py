# SPDX-License-Identifier: Apache-2.0
"""Proof that an address umslab may not call gets no packet, in a network namespace made for the purpose.

The namespace has loopback, one interface with an address and a default route into nowhere: the two ends of a cable that
both are in it. Counters of all its interfaces tell whether anything left; ordinary calls, and calls the user has
consented to, show that they would. Needs root and iproute2.
"""

from __future__ import annotations

import os
import secrets
import shutil
import subprocess
import sys
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec
import pytest

from .probe import Job, Result

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).parents[2]
NEIGHBOUR = "192.168.77.9"
REAL_UNIT_ID = "00E0C514325B"
HOSTS = f"""\
127.0.0.1 localhost
{NEIGHBOUR} neighbour.lab
8.8.8.8 public.lab
239.255.255.250 group.lab
127.0.0.1 mixed.lab
{NEIGHBOUR} mixed.lab
"""

REFUSED = {
    "on the same network": Job("dial", NEIGHBOUR),
    "behind the router": Job("dial", "192.168.5.5"),
    "class A": Job("dial", "10.0.0.1"),
    "link-local": Job("dial", "169.254.10.20"),
    "the network's broadcast": Job("dial", "192.168.77.255"),
    "public": Job("dial", "8.8.8.8"),
    "public, owned": Job("dial", "8.8.8.8", owned=("8.8.8.8",)),
    "multicast": Job("dial", "224.0.0.1"),
    "multicast, owned": Job("dial", "239.255.255.250", owned=("239.255.255.250",)),
    "broadcast, owned": Job("dial", "255.255.255.255", owned=("255.255.255.255",)),
    "unspecified, owned": Job("dial", "0.0.0.0", owned=("0.0.0.0",)),
    "mapped": Job("dial", f"::ffff:{NEIGHBOUR}"),
    "mapped public, owned": Job("dial", "::ffff:8.8.8.8", owned=("8.8.8.8", "::ffff:8.8.8.8")),
    "another one is owned": Job("dial", NEIGHBOUR, owned=("192.168.77.8",)),
    "a real endpoint's unit ID": Job("dial", NEIGHBOUR, owned=(NEIGHBOUR,), unit_id=REAL_UNIT_ID),
    "name of a neighbour": Job("dial", "neighbour.lab"),
    "name of a public address": Job("dial", "public.lab", owned=("8.8.8.8",)),
    "name of a group": Job("dial", "group.lab", owned=("239.255.255.250",)),
}
CALLED = {
    "owned": Job("wait", "192.168.77.21", owned=("192.168.77.21",)),
    "owned, simulated unit ID": Job("wait", "192.168.77.22", owned=("192.168.77.22",), unit_id="02E0C514325B"),
    "owned, mapped": Job("wait", "::ffff:192.168.77.23", owned=("192.168.77.23",)),
    "owned, behind the router": Job("wait", "10.9.9.9", owned=("10.9.9.9",)),
    "without umslab, public": Job("plain", "8.8.8.8"),
    "without umslab, neighbour": Job("plain", NEIGHBOUR),
}
OTHERS = {
    "mixed": Job("dial", "mixed.lab"),
    "redirect": Job("redirect", NEIGHBOUR),
    "no route": Job("dial", "10.66.0.1", owned=("10.66.0.1",)),
}


def _ip(*arguments: str) -> None:
    done = subprocess.run(["ip", *arguments], capture_output=True, text=True, check=False)
    if done.returncode:
        raise OSError(f"ip {' '.join(arguments)}: {done.stderr.strip()}")


def _make(stack: ExitStack) -> str:
    """Make a namespace that the stack will take away again; return its name."""
    name = f"umslab-{secrets.token_hex(4)}"
    _ip("netns", "add", name)
    stack.callback(_ip, "netns", "del", name)
    settings = Path("/etc/netns") / name
    made_parent = not settings.parent.exists()
    settings.mkdir(parents=True)
    if made_parent:
        stack.callback(settings.parent.rmdir)
    stack.callback(shutil.rmtree, settings)
    (settings / "hosts").write_text(HOSTS)
    (settings / "nsswitch.conf").write_text("hosts: files\n")
    (settings / "resolv.conf").write_text("")
    # Without IPv6 on the cable, the kernel itself has nothing to say on it.
    quiet = "for which in all default; do echo 1 > /proc/sys/net/ipv6/conf/$which/disable_ipv6; done"
    _ip("netns", "exec", name, "sh", "-c", f"[ ! -d /proc/sys/net/ipv6 ] || {{ {quiet}; }}")
    _ip("-n", name, "link", "set", "lo", "up")
    _ip("-n", name, "link", "add", "here", "type", "veth", "peer", "name", "there")
    _ip("-n", name, "link", "set", "there", "up")
    _ip("-n", name, "link", "set", "here", "up")
    _ip("-n", name, "address", "add", "192.168.77.2/24", "dev", "here")
    router = ("192.168.77.1", "lladdr", "02:00:00:00:00:01", "dev", "here")
    _ip("-n", name, "neighbour", "add", *router, "nud", "permanent")
    _ip("-n", name, "route", "add", "default", "via", "192.168.77.1")
    _ip("-n", name, "route", "add", "unreachable", "10.66.0.0/16")
    return name


@pytest.fixture(scope="module")
def results() -> Iterator[dict[str, Result]]:
    """What became of all jobs, by name: one process in one namespace does them."""
    if not sys.platform.startswith("linux"):
        pytest.skip("network namespaces are a thing of Linux")
    if os.geteuid() != 0:
        pytest.skip("only root can make a network namespace")
    if shutil.which("ip") is None:
        pytest.skip("the program ip (iproute2) is needed to make a network namespace")
    with ExitStack() as stack:
        try:
            name = _make(stack)
        except OSError as error:
            pytest.skip(f"this machine makes no network namespace: {error}")
        jobs = REFUSED | OTHERS | CALLED  # last those after which the kernel goes on asking for neighbours
        done = subprocess.run(
            ["ip", "netns", "exec", name, sys.executable, "-m", "tests.safety.probe"],
            cwd=ROOT,
            input=msgspec.json.encode(list(jobs.values())),
            capture_output=True,
            timeout=60,
            check=False,
        )
        assert done.returncode == 0, done.stderr.decode()
        yield dict(zip(jobs, msgspec.json.decode(done.stdout, type=list[Result]), strict=True))


def left(result: Result) -> dict[str, int]:
    """The interfaces on which packets left, and how many; loopback is our own machine."""
    return {name: count for name, count in result.packets.items() if count and name != "lo"}


@pytest.mark.parametrize("case", REFUSED)
def test_refusal_sends_no_packet(results: dict[str, Result], case: str) -> None:
    """An address that may not be called is refused before anything leaves, not even to ask where it is."""
    result = results[case]

    assert result.outcome.startswith("refused: ")
    assert {"lo": 0, "here": 0, "there": 0} == result.packets


@pytest.mark.parametrize("case", CALLED)
def test_counters_would_tell(results: dict[str, Result], case: str) -> None:
    """With the user's word, or without umslab, packets do leave, so that a packet of a refusal would be seen."""
    result = results[case]

    assert result.outcome in {"waiting", "tried"}
    assert {"here"} == set(left(result))
    assert left(result)["here"] > 0


def test_name_with_a_refused_and_a_free_address(results: dict[str, Result]) -> None:
    """A name that leads here and elsewhere is called here only: nobody listens, and that is all."""
    result = results["mixed"]

    assert "failed: 127.0.0.1:8443: nothing listens there (connection refused)" == result.outcome
    assert {} == left(result)


def test_redirect_is_not_followed(results: dict[str, Result]) -> None:
    """A device whose server sends it to another machine stays where it is and reports the answer."""
    result = results["redirect"]

    assert "HTTP 302" == result.outcome
    assert {} == left(result)


def test_missing_route_is_told_in_words(results: dict[str, Result]) -> None:
    """An owned address that the machine has no way to is a failed dial, in the system's words."""
    assert "failed: 10.66.0.1:8443: No route to host" == results["no route"].outcome
