# SPDX-License-Identifier: Apache-2.0
"""What `umslab fleet ctl` asks of a running fleet, over the control socket in its state folder.

Provenance: ours, as `umslab_runtime.control` is.
"""

from __future__ import annotations

from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import msgspec
import trio
from msgspec import Meta, Struct

from umslab.fleet.counts import count
from umslab.fleet.moment import told_now
from umslab.fleet.state import FleetStateError
from umslab_runtime.control import ControlError, ControlServer, open_control_listener
from umslab_runtime.latencies import Latencies
from umslab_runtime.policy import MOST_ARRIVALS_OUTSIDE

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable, Sequence

    from umslab.fleet.job import Job
    from umslab_agent.fleet.member import Moment
    from umslab_agent.fleet.plan import PlannedDevice
    from umslab_agent.fleet.recorder import Recorder
    from umslab_agent.fleet.running import Fleet

    Answer = Callable[[str, dict[str, Any]], Awaitable[dict[str, Any]]]
    """Does what a request asks; raises `ControlError`."""

SOCKET = "control.sock"
MOST_AWAY_SECONDS = 86_400.0
MOST_PER_SECOND = 10_000.0
MOST_SITES_TOLD = 20


NOT_YET = "the fleet does not run yet: its keys are being made"
NOBODY_TO_COME = "no device is to arrive any more: there is nothing to pause, and no rate to change"


class Nothing(Struct, forbid_unknown_fields=True):
    """A request that says all by its name."""


class Rate(Struct, forbid_unknown_fields=True):
    """At which rate the devices that are to come yet arrive, the first of them after so long."""

    per_second: Annotated[float, Meta(gt=0, le=MOST_PER_SECOND)]
    after_seconds: Annotated[float, Meta(ge=0, le=MOST_AWAY_SECONDS)] = 0.0


class Disconnect(Struct, forbid_unknown_fields=True):
    """Whose sessions break, and how long they reach nobody."""

    who: Annotated[str, Meta(max_length=200)] = "all"
    seconds: Annotated[float, Meta(ge=0, le=MOST_AWAY_SECONDS)] = 0.0


class Which(Struct, forbid_unknown_fields=True):
    """One device, by index or unit ID."""

    device: Annotated[str, Meta(max_length=40)]


REQUESTS: dict[str, type[Struct]] = {
    "status": Nothing,
    "counts": Nothing,
    "pause": Nothing,
    "resume": Nothing,
    "rate": Rate,
    "disconnect": Disconnect,
    "device": Which,
}


def understand(name: str, args: dict[str, Any]) -> Any:
    """Read a request. Raises `ControlError` with a sentence for the person who asked."""
    if name not in REQUESTS:
        raise ControlError(f"a fleet knows no request {name[:40]!r}: {', '.join(REQUESTS)}", "invalid")
    try:
        return msgspec.convert(args, REQUESTS[name])
    except msgspec.ValidationError as error:
        raise ControlError(f"{name}: {error}", "invalid") from None


def check_rate(per_second: float, most: float) -> None:
    """Raise `ControlError` for more than the target policy lets arrive in a second."""
    if per_second > most:
        raise ControlError(f"outside this machine at most {most:g} devices arrive in a second", "invalid")


def most_per_second(job: Job) -> float:
    """Return the highest rate that the target policy lets a person ask for.

    Who owns a host outside may be on the way there: then its limits hold, whatever a person asks for later, unless the
    server has proved that it was started for load.
    """
    return MOST_ARRIVALS_OUTSIDE if job.own and not job.proved else MOST_PER_SECOND


def find_device(devices: Sequence[PlannedDevice], text: str) -> PlannedDevice:
    """Return the device with this index or unit ID. Raises `ControlError`."""
    for device in devices:
        if text.upper() == device.persona.unit_id or (text.isascii() and text.isdigit() and int(text) == device.index):
            return device
    indexes = [device.index for device in devices]
    known = f": indexes are {min(indexes)} to {max(indexes)}" if indexes else ""
    raise ControlError(f"this fleet has no device {text!r}{known}", "invalid")


class Steering:
    """Answers for one running fleet."""

    def __init__(
        self,
        fleet: Fleet,
        recorder: Recorder,
        now: Callable[[], float],
        *,
        most_per_second: float,
        lag: Latencies | None = None,
        shard: int = 1,
    ) -> None:
        """`most_per_second` is the highest rate of arrivals that the target policy allows; `lag` the event loop's."""
        self._fleet = fleet
        self._recorder = recorder
        self._now = now
        self._most_per_second = most_per_second
        self._lag = lag or Latencies()
        self._shard = shard
        self._do: dict[str, Callable[[Any], dict[str, Any]]] = {
            "status": self._status,
            "counts": self._counts,
            "pause": self._pause,
            "resume": self._resume,
            "rate": self._rate,
            "disconnect": self._disconnect,
            "device": self._device,
        }

    def answer(self, name: str, args: dict[str, Any]) -> dict[str, Any]:
        """Do what is asked. Raises `ControlError` with a sentence for the person who asked."""
        asked = understand(name, args)
        return self._do[name](asked)

    def _status(self, _: Nothing) -> dict[str, Any]:
        told = told_now(self._recorder, self._fleet, self._now(), closely=True)
        return {
            "phase": told.phase,
            "seconds": told.seconds,
            "levels": told.levels,
            "failures": told.failures,
            "glance": msgspec.to_builtins(told.glance),
        }

    def _counts(self, _: Nothing) -> dict[str, Any]:
        counts = count(self._recorder, self._fleet, self._now(), self._lag, self._shard)
        found: dict[str, Any] = msgspec.to_builtins(counts)
        return found

    def _pause(self, _: Nothing) -> dict[str, Any]:
        self._check_arrivals()
        return {"changed": self._fleet.pause(), "to_come": self._fleet.pacing.left}

    def _resume(self, _: Nothing) -> dict[str, Any]:
        return {"changed": self._fleet.resume(), "to_come": self._fleet.pacing.left}

    def _rate(self, asked: Rate) -> dict[str, Any]:
        check_rate(asked.per_second, self._most_per_second)
        self._check_arrivals()
        self._fleet.set_rate(asked.per_second, asked.after_seconds)
        return {"per_second": asked.per_second, "to_come": self._fleet.pacing.left}

    def _check_arrivals(self) -> None:
        phase = self._fleet.phase
        if phase is None or phase.kind != "onboard" or not self._fleet.pacing.left:
            raise ControlError(NOBODY_TO_COME)

    def _disconnect(self, asked: Disconnect) -> dict[str, Any]:
        devices, had = self._fleet.disconnect(asked.who, asked.seconds)
        if not devices:
            sites = sorted({one.planned.site for one in self._fleet.members.values()} - {""})[:MOST_SITES_TOLD]
            known = f"the sites are {', '.join(sites)}" if sites else "this fleet has no sites"
            raise ControlError(f"no device stands at {asked.who!r}: {known}", "invalid")
        return {"who": asked.who, "devices": devices, "sessions": had, "seconds": asked.seconds}

    def _device(self, asked: Which) -> dict[str, Any]:
        member = self._fleet.members[find_device(self._fleet.plan.devices, asked.device).index]
        planned, failure = member.planned, member.failure
        return {
            "index": planned.index,
            "unit_id": planned.persona.unit_id,
            "condition": str(member.condition),
            "site": planned.site,
            "circuit": planned.circuit,
            "history": [self._told(moment) for moment in member.history],
            "last_failure": "" if failure is None else f"{failure.phase} {failure.reason}: {failure.detail}"[:300],
        }

    def _told(self, moment: Moment) -> dict[str, Any]:
        failed = f"{moment.phase} {moment.reason}" if moment.reason is not None else ""
        return {
            "seconds": round(moment.at - self._recorder.start, 3),
            "condition": str(moment.condition),
            "failed": failed,
        }


@asynccontextmanager
async def steered(folder: str, answer: Answer) -> AsyncIterator[None]:
    """Let `answer` be asked in this state folder meanwhile; without a folder nobody can ask.

    Raises `FleetStateError` when there can be no socket.
    """
    if not folder:
        yield
        return
    place = Path(folder) / SOCKET

    async def handle(name: str, args: dict[str, Any], _: Callable[[Any], Awaitable[None]]) -> dict[str, Any]:
        return await answer(name, args)

    async with AsyncExitStack() as stack:
        try:
            place.unlink(missing_ok=True)  # of a fleet that was killed
            listener, path = await stack.enter_async_context(open_control_listener(place))
            if path != place.absolute():  # too long for a socket's name: say where it is
                place.symlink_to(path)
                stack.callback(place.unlink, missing_ok=True)
        except OSError as error:
            raise FleetStateError(f"{place} cannot be made: {error.strerror or error}") from None
        nursery = await stack.enter_async_context(trio.open_nursery())
        nursery.start_soon(ControlServer(handle).serve, listener)
        yield
        nursery.cancel_scope.cancel()


def socket_of(folder: Path) -> Path:
    """Return where the fleet on this state folder is asked."""
    return (folder / SOCKET).resolve()
