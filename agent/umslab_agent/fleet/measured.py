# SPDX-License-Identifier: Apache-2.0
"""What is measured of a run, as one tree that is written to JSON, read back and merged.

All times are seconds from the start of the run, which is the moment of the plan's time 0.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated

import msgspec
from msgspec import Meta

from umslab_agent.fleet.blame import Side
from umslab_agent.fleet.histogram import Histogram
from umslab_agent.fleet.series import Peaks, Series
from umslab_protocol.values.failure import Phase, Reason

MOST_CAUSES = 400
"""Of failures in one record; in what comes later, HTTP statuses are not told apart, so that no peer can add causes."""
MOST_PHASES = 32
MOST_GENERATORS = 128
MAX_TEXT = 300

BUSY = 0.9
"""Of one processor: above it a process with one event loop is at its end."""

Count = Annotated[int, Meta(ge=0, le=2**53)]
Seconds = Annotated[float, Meta(ge=0, le=1e10)]
ShortText = Annotated[str, Meta(max_length=MAX_TEXT)]


class Step(StrEnum):
    """What is timed."""

    TCP = "tcp"
    """The TCP connection is there."""
    TLS = "tls"
    """The TLS handshake is done, ours and the server's."""
    CACERTS = "cacerts"
    """The answer to `GET cacerts` is there; its connection is counted in TCP and TLS."""
    ENROL = "enrol"
    """The certificate is there; likewise."""
    WEBSOCKET = "websocket"
    """The server answered 101 to `ws-connect`."""
    REGISTER = "register"
    """OS 11: from the TLS handshake to the answer that the device is registered (A9)."""
    CONTACT = "contact"
    """OS 11: from the TLS handshake to the welcome; both have proved the key (G8)."""
    SETTINGS = "settings"
    """From the open session to settings written and confirmed."""
    COMMAND = "command"
    """From the command's arrival at the device to its result on the way."""
    MANAGED = "managed"
    """The whole way, from the intended arrival until the server manages the device."""


class Condition(StrEnum):
    """How a device is; each is in one of them."""

    PLANNED = "planned"
    ONBOARDING = "onboarding"
    """On its way for the first time, or again after it was offline."""
    CONNECTED = "connected"
    """Has a session."""
    MANAGED = "managed"
    """Has a session, and what it is to have."""
    OFFLINE = "offline"
    """Waits for its next try, sleeps, boots or has lost its network."""
    FAILED = "failed"
    """Has given up."""
    STOPPED = "stopped"
    """Was ended by the run itself; one that is offline, or on its way, when the run ends stays so."""


class StepTimes(msgspec.Struct, forbid_unknown_fields=True):
    """Two durations of each step that was done."""

    latency: Histogram = msgspec.field(default_factory=Histogram)
    """From when the step was *intended* to begin: what the generator was late counts."""
    service: Histogram = msgspec.field(default_factory=Histogram)
    """From when it began: what the other side and the network took, as far as this machine can see."""


class Arrivals(msgspec.Struct, forbid_unknown_fields=True):
    """Devices that came, or were to come."""

    intended: Series = msgspec.field(default_factory=Series)
    started: Series = msgspec.field(default_factory=Series)
    late: Histogram = msgspec.field(default_factory=Histogram)
    """How much later than intended they started: the generator's fault, or the bound on those outstanding."""
    missed: Count = 0
    """Intended, never started: the run ended before."""


class PhaseTimes(msgspec.Struct, forbid_unknown_fields=True):
    """When devices became managed, and ceased to be, in one phase of the plan."""

    name: Annotated[str, Meta(max_length=64)]
    began: Seconds
    managed_before: Count
    gained: Histogram = msgspec.field(default_factory=Histogram)
    """Seconds after the phase began."""
    lost: Histogram = msgspec.field(default_factory=Histogram)


class Cause(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    """What failures are grouped by."""

    side: Side
    phase: Phase
    reason: Reason
    status: Annotated[int, Meta(ge=100, le=999)] | None = None
    """Of the HTTP answer."""
    code: Annotated[int, Meta(ge=0, le=99)] | None = None
    """The vendor's onboarding error code, where one fits."""


class FailureGroup(msgspec.Struct, forbid_unknown_fields=True):
    """Failures with one cause."""

    cause: Cause
    count: Count = 0
    over_time: Series = msgspec.field(default_factory=Series)
    example: ShortText = ""
    """What the first one said."""
    hint: ShortText = ""
    request: ShortText = ""
    """The id of the first one's request, with which the server's log can be searched."""


class Generator(msgspec.Struct, forbid_unknown_fields=True):
    """How the process that made the load fared."""

    shard: Annotated[int, Meta(ge=1, le=1024)] = 1
    """Of the plan."""
    samples: Count = 0
    busy: Count = 0
    """Of them, those with more than `BUSY` of the processor in use."""
    lag: Histogram = msgspec.field(default_factory=Histogram)
    """How late the event loop was."""
    cpu: Peaks = msgspec.field(default_factory=Peaks)
    """In thousandths of one processor."""
    lag_peaks: Peaks = msgspec.field(default_factory=Peaks)
    """In microseconds."""
    memory: Peaks = msgspec.field(default_factory=Peaks)
    """Resident bytes."""
    descriptors: Peaks = msgspec.field(default_factory=Peaks)


class Measured(msgspec.Struct, forbid_unknown_fields=True):
    """All of it, of one shard or of several that were merged."""

    devices: Count = 0
    """Planned."""
    seconds: Seconds = 0.0
    """From the start to the end of the run."""
    managed_once: Count = 0
    """Devices that were managed at least once."""
    arrivals: Arrivals = msgspec.field(default_factory=Arrivals)
    steps: dict[Step, StepTimes] = msgspec.field(default_factory=dict)
    conditions: dict[Condition, Series] = msgspec.field(default_factory=dict)
    """Changes in how many devices are in each; `Series.levels` has the numbers themselves."""
    phases: Annotated[list[PhaseTimes], Meta(max_length=MOST_PHASES)] = []
    failures: Annotated[list[FailureGroup], Meta(max_length=2000)] = []
    generators: Annotated[list[Generator], Meta(max_length=MOST_GENERATORS)] = []
    """One a process."""


class Failures:
    """The groups of one record, found by their cause."""

    def __init__(self, groups: list[FailureGroup]) -> None:
        """`groups` is kept, and grows."""
        self._groups = groups
        self._found = {group.cause: group for group in groups}

    def group(self, cause: Cause, *, example: str, hint: str, request: str) -> FailureGroup:
        """Return the group of a cause; the texts are those of a new one."""
        found = self._found.get(cause)
        if found is None and len(self._groups) >= MOST_CAUSES:
            cause = msgspec.structs.replace(cause, status=None)
            found = self._found.get(cause)
        if found is None:
            found = FailureGroup(cause, example=example[:MAX_TEXT], hint=hint[:MAX_TEXT], request=request[:MAX_TEXT])
            self._found[cause] = found
            self._groups.append(found)
        return found
