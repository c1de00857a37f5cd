# SPDX-License-Identifier: Apache-2.0
"""What `fleet run --i-own` opens, and what stays closed: shown with packets that leave, or do not.

Fleet and server are in two joined namespaces made for the purpose, which umslab does not take for its own. Needs root
and iproute2.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pytest

from tests.foreign.dhcp_lab import CLIENT, SERVER, Lan, lan
from tests.foreign.strangers import Finished, run
from tests.support.process import UMSLAB, ServerProcess, serving_inside
from umslab_runtime.policy import MOST_ARRIVALS_OUTSIDE, MOST_DEVICES_OUTSIDE

from .cable import QUIET, sent

if TYPE_CHECKING:
    from collections.abc import Iterator

KEY = "fleet-key"
MINE = ("--i-own", SERVER)
MOST_AT_ONCE = ("-n", str(MOST_ARRIVALS_OUTSIDE), "--at-once")
REFUSED = {
    "nobody owns it": (MOST_AT_ONCE, f"say so with --i-own {SERVER}"),
    "too many": (
        (*MINE, "-n", str(MOST_DEVICES_OUTSIDE + 1), "--rate", "1"),
        f"a fleet there has at most {MOST_DEVICES_OUTSIDE} devices",
    ),
    "too many at once": (
        (*MINE, "-n", str(MOST_ARRIVALS_OUTSIDE + 1), "--at-once"),
        f"at most {MOST_ARRIVALS_OUTSIDE} arrive in a second",
    ),
}


@dataclass(frozen=True)
class Tried:
    """What became of a run."""

    done: Finished
    packets: int
    """That left the namespace of the fleet."""
    callers: tuple[str, ...]
    """Addresses from which the devices that the server knows have called."""


def _try(where: Lan, server: ServerProcess, *arguments: str) -> Tried:
    before = sent(where.client)
    verb = (*UMSLAB, "fleet", "run", f"{SERVER}:{server.port}", "--auth-key", KEY, "--json", *arguments)
    done = run("ip", "netns", "exec", where.client, *verb, check=False)
    packets = sent(where.client) - before
    return Tried(done, packets, tuple(device["last_ip"] for device in server.ask("devices.list")))


@pytest.fixture(scope="module")
def tried(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Tried]]:
    """All runs, by name: last the one that calls, after which the kernel goes on asking for neighbours."""
    with lan("own-") as where:
        run("ip", "netns", "exec", where.client, "sh", "-c", f"[ ! -d /proc/sys/net/ipv6 ] || {{ {QUIET}; }}")
        state = tmp_path_factory.mktemp("ums") / "state"
        with serving_inside(where.server, state, SERVER, key=KEY) as server:
            found = {case: _try(where, server, *arguments) for case, (arguments, _) in REFUSED.items()}
            yield found | {"owned": _try(where, server, *MINE, *MOST_AT_ONCE)}


@pytest.mark.parametrize("case", REFUSED)
def test_refused_before_a_packet(tried: dict[str, Tried], case: str) -> None:
    """Without the user's word for this address, and beyond the limits with it: a sentence, and nothing on the cable."""
    one = tried[case]

    assert (2, "", 0, ()) == (one.done.code, one.done.out, one.packets, one.callers)
    assert REFUSED[case][1] in one.done.err


def test_who_owns_it_may_call(tried: dict[str, Tried]) -> None:
    """As many as may arrive in a second call from the other machine, and are managed."""
    one = tried["owned"]

    assert 0 == one.done.code, one.done.err
    assert MOST_ARRIVALS_OUTSIDE == json.loads(one.done.out)["report"]["managed"]
    assert (CLIENT,) * MOST_ARRIVALS_OUTSIDE == one.callers
    assert one.packets > MOST_ARRIVALS_OUTSIDE
