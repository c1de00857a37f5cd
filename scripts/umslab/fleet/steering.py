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

from umslab.fleet.moment import told_now
from umslab.fleet.state import FleetStateError
from umslab_runtime.control import ControlError, ControlServer, open_control_listener

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable

    from umslab_agent.fleet.member import Member, Moment
    from umslab_agent.fleet.recorder import Recorder
    from umslab_agent.fleet.running import Fleet

    Answer = Callable[[str, dict[str, Any]], dict[str, Any]]
    """Does what a request asks; raises `ControlError`."""

SOCKET = "control.sock"
MOST_AWAY_SECONDS = 86_400.0
MOST_PER_SECOND = 10_000.0
MOST_SITES_TOLD = 20


class _Nothing(Struct, forbid_unknown_fields=True):
    pass


class _Rate(Struct, forbid_unknown_fields=True):
    per_second: Annotated[float, Meta(gt=0, le=MOST_PER_SECOND)]


class _Disconnect(Struct, forbid_unknown_fields=True):
    who: Annotated[str, Meta(max_length=200)] = "all"
    seconds: Annotated[float, Meta(ge=0, le=MOST_AWAY_SECONDS)] = 0.0


class _Device(Struct, forbid_unknown_fields=True):
    device: Annotated[str, Meta(max_length=40)]


class Steering:
    """Answers for one running fleet."""

    def __init__(self, fleet: Fleet, recorder: Recorder, now: Callable[[], float], *, most_per_second: float) -> None:
        """`most_per_second` is the highest rate of arrivals that the target policy allows."""
        self._fleet = fleet
        self._recorder = recorder
        self._now = now
        self._most_per_second = most_per_second
        self._requests: dict[str, tuple[type[Any], Callable[[Any], dict[str, Any]]]] = {
            "status": (_Nothing, self._status),
            "pause": (_Nothing, self._pause),
            "resume": (_Nothing, self._resume),
            "rate": (_Rate, self._rate),
            "disconnect": (_Disconnect, self._disconnect),
            "device": (_Device, self._device),
        }

    def answer(self, name: str, args: dict[str, Any]) -> dict[str, Any]:
        """Do what is asked. Raises `ControlError` with a sentence for the person who asked."""
        if name not in self._requests:
            raise ControlError(f"a fleet knows no request {name[:40]!r}: {', '.join(self._requests)}", "invalid")
        kind, do = self._requests[name]
        try:
            asked = msgspec.convert(args, kind)
        except msgspec.ValidationError as error:
            raise ControlError(f"{name}: {error}", "invalid") from None
        return do(asked)

    def _status(self, _: _Nothing) -> dict[str, Any]:
        told = told_now(self._recorder, self._fleet, self._now(), closely=True)
        return {
            "phase": told.phase,
            "seconds": told.seconds,
            "levels": told.levels,
            "failures": told.failures,
            "glance": msgspec.to_builtins(told.glance),
        }

    def _pause(self, _: _Nothing) -> dict[str, Any]:
        self._check_arrivals()
        return {"changed": self._fleet.pause(), "to_come": self._fleet.pacing.left}

    def _resume(self, _: _Nothing) -> dict[str, Any]:
        return {"changed": self._fleet.resume(), "to_come": self._fleet.pacing.left}

    def _rate(self, asked: _Rate) -> dict[str, Any]:
        if asked.per_second > self._most_per_second:
            raise ControlError(
                f"outside this machine at most {self._most_per_second:g} devices arrive in a second", "invalid"
            )
        self._check_arrivals()
        self._fleet.set_rate(asked.per_second)
        return {"per_second": asked.per_second, "to_come": self._fleet.pacing.left}

    def _check_arrivals(self) -> None:
        phase = self._fleet.phase
        if phase is None or phase.kind != "onboard" or not self._fleet.pacing.left:
            raise ControlError("no device is to arrive any more: there is nothing to pause, and no rate to change")

    def _disconnect(self, asked: _Disconnect) -> dict[str, Any]:
        devices, had = self._fleet.disconnect(asked.who, asked.seconds)
        if not devices:
            sites = sorted({one.planned.site for one in self._fleet.members.values()} - {""})[:MOST_SITES_TOLD]
            known = f"the sites are {', '.join(sites)}" if sites else "this fleet has no sites"
            raise ControlError(f"no device stands at {asked.who!r}: {known}", "invalid")
        return {"who": asked.who, "devices": devices, "sessions": had, "seconds": asked.seconds}

    def _device(self, asked: _Device) -> dict[str, Any]:
        member = self._find(asked.device)
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

    def _find(self, text: str) -> Member:
        members = self._fleet.members
        for member in members.values():
            if member.planned.persona.unit_id == text.upper():
                return member
        if text.isascii() and text.isdigit() and int(text) in members:
            return members[int(text)]
        known = f": indexes are {min(members)} to {max(members)}" if members else ""
        raise ControlError(f"this fleet has no device {text!r}{known}", "invalid")


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
        return answer(name, args)

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


def one_process_only(_name: str, _args: dict[str, Any]) -> dict[str, Any]:
    """Answer for a fleet in several processes. Raises `ControlError`, always."""
    raise ControlError("this fleet runs in several processes, and only one in a single process can be asked or steered")
