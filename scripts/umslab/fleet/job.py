# SPDX-License-Identifier: Apache-2.0
"""What one process of a fleet is to do, and what it tells meanwhile: one JSON line each, also between processes."""

from __future__ import annotations

from typing import Any

from msgspec import Raw, Struct

from umslab.fleet.glance import Glance
from umslab_agent.fleet.report import Backend
from umslab_agent.fleet.scenario import Scenario
from umslab_protocol.values.host_port import DEVICE_COMMUNICATION_PORT


class Job(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """A shard of a fleet, and all it needs to run."""

    scenario: Scenario
    shard: int = 1
    of: int = 1
    target: str
    backend: Backend = Backend(target="")
    repeats_requests: bool = False
    """The backend repeats the ids of requests."""
    os11_port: int = DEVICE_COMMUNICATION_PORT
    """Of the target: what OS 11 devices call."""
    auth_key: str = ""
    token: str = ""
    ca_hash: str = ""
    user: str = ""
    """Of the UMS, with whom OS 11 devices register (A9)."""
    password: str = ""
    own: tuple[str, ...] = ()
    """Hosts outside the machine that the user owns."""
    proved: bool = False
    """The owned addresses are those of a server that has proved that it was started for load."""
    nameservers: tuple[str, ...] = ()
    search: tuple[str, ...] = ()
    dhcp_interface: str = ""
    """Where devices lease that find the server by DHCP; empty: those are skipped."""
    state: str = ""
    """The folder; empty: nothing is kept."""
    control: str = ""
    """The server's control socket, for commands."""
    source: str = ""
    """What devices call from that have no address of their own in the plan."""
    key_workers: int = 1
    """Processes that make keys."""
    watched: bool = False
    """Somebody looks at a live picture: tell more, and more often."""
    metered: bool = False
    """Somebody may ask for metrics: measure how late the event loop is."""


class Asked(Struct, frozen=True, forbid_unknown_fields=True):
    """A request to a process, as `fleet ctl` would make it."""

    id: int
    name: str
    args: dict[str, Any]


class Answered(Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """The answer to the request with this id."""

    id: int
    result: dict[str, Any] | None = None
    error: str = ""
    """Or this: why not."""
    code: str = ""


class Told(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True, omit_defaults=True):
    """Something a shard tells."""

    say: str = ""
    """A line for people."""
    ready: bool = False
    """Keys are made; it waits to be told when to begin."""
    levels: dict[str, int] | None = None
    """How many devices are in each condition."""
    phase: str = ""
    failures: int = 0
    """Failed tries so far."""
    seconds: float = 0.0
    """Since the start."""
    glance: Glance | None = None
    """More of how it goes, when somebody watches."""
    answer: Answered | None = None
    """To a request."""
    report: Raw = Raw()
    """The last thing it tells."""
    error: str = ""
    """Or this: why it could not run."""
