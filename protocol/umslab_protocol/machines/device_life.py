# SPDX-License-Identifier: Apache-2.0
"""The life of one OS 12 device as a workflow machine: come on board, connect, renew, wait, go away, be released.

    handle(event, now) -> commands      what to do next; its outcome comes back as the next event
    deadline() / on_deadline(now)       when a wait or a day is over

The order of the steps on board is the vendor's (X2); where the vendor is silent it is ours: back-off (L12), what counts
as worth another try, how long a device boots. The release rule is documented (L5): a device that the server calls
unknown drops its registration, since firmware 12.8.4 only after the release delay. The commands that send a device away
are documented too (J2): reboot, suspend, shutdown, reset to factory defaults.

Time is an argument; chance is a callable that returns a number in [0, 1) from the device's own seeded source.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Any, assert_never

from umslab_protocol.machines.retrying import MAY_PASS
from umslab_protocol.machines.transitions import TableMachine
from umslab_protocol.values.failure import Failure, Reason

if TYPE_CHECKING:
    from collections.abc import Callable

    from umslab_protocol.machines.retrying import RetryPolicy

DAY_SECONDS = 86_400.0
STABLE_SECONDS = 60.0
"""A session that lasts so long is a success; a server that greets and closes is not redialled at once for ever."""
RELEASE_DELAY = 86_400.0  # `system.remotemanager.release_delay` (L5)
MAX_RELEASE_DELAY = 30 * 86_400.0  # L5


class State(StrEnum):
    """Where a device stands in its life."""

    OFF = "off"
    TRUSTING = "trusting"
    PREPARING = "preparing"
    ENROLLING = "enrolling"
    CONNECTING = "connecting"
    ONLINE = "online"
    RENEWING = "renewing"
    WAITING = "waiting"
    REBOOTING = "rebooting"
    SUSPENDED = "suspended"
    FACTORY = "factory"
    """Reset to factory defaults: it knows nothing but who it is."""
    RELEASED = "released"
    FAILED = "failed"
    REGISTERING = "registering"
    """OS 11, as the two that follow: device_life_os11.py."""
    CONTACTING = "contacting"
    READY = "ready"


# Events: what happened.


@dataclass(frozen=True, slots=True)
class Booted:
    """The device starts with what its folder holds."""

    enrolled: bool
    trusted: bool
    request_pending: bool
    renewal_due: bool
    unknown_for: float | None = None
    """Seconds since a server first called it unknown, when none has accepted it since (L5)."""


@dataclass(frozen=True, slots=True)
class TrustEstablished:
    """The server's root is pinned and saved."""


@dataclass(frozen=True, slots=True)
class RequestReady:
    """A key and a CSR are saved, so that the very same bytes can be sent again."""


@dataclass(frozen=True, slots=True)
class Enrolled:
    """A certificate is saved."""


@dataclass(frozen=True, slots=True)
class Connected:
    """The session is open."""


@dataclass(frozen=True, slots=True)
class Disconnected:
    """The session is over."""

    failure: Failure


@dataclass(frozen=True, slots=True)
class RenewalChecked:
    """The daily look at the certificate's dates."""

    due: bool


@dataclass(frozen=True, slots=True)
class StepFailed:
    """The command under way did not succeed."""

    failure: Failure


@dataclass(frozen=True, slots=True)
class Deregistered:
    """The server said that the device was deleted (L4)."""


@dataclass(frozen=True, slots=True)
class Departure:
    """It goes away on purpose."""

    seconds: float | None
    """After how long it comes back by itself; None: not before it is woken up."""


class Rebooting(Departure):
    """It goes down and boots."""


class FallingAsleep(Departure):
    """It is suspended."""


class ShuttingDown(Departure):
    """It goes down; coming back means that somebody switches it on."""


class Resetting(Departure):
    """It forgets everything but who it is, and boots."""


@dataclass(frozen=True, slots=True)
class WokenUp:
    """Somebody woke it up, or switched it on."""


Event = (
    Booted
    | TrustEstablished
    | RequestReady
    | Enrolled
    | Connected
    | Disconnected
    | RenewalChecked
    | StepFailed
    | Deregistered
    | Departure
    | WokenUp
)

S = State

DEPARTURES: dict[type[Any], tuple[State, ...]] = {
    Rebooting: (S.REBOOTING,),
    FallingAsleep: (S.SUSPENDED,),
    ShuttingDown: (S.OFF,),
    Resetting: (S.FACTORY,),
}
"""Where a device goes when it goes away, of either generation."""

# The transition table: from a state, by an event, to one of these states.
TRANSITIONS: dict[State, dict[type[Event], tuple[State, ...]]] = {
    S.OFF: {
        Booted: (S.TRUSTING, S.PREPARING, S.ENROLLING, S.RENEWING, S.CONNECTING),
        StepFailed: (S.FAILED,),  # what the folder holds is damaged
        WokenUp: (S.OFF,),  # which commands to boot
    },
    S.TRUSTING: {TrustEstablished: (S.PREPARING, S.ENROLLING), StepFailed: (S.WAITING, S.FAILED)},
    S.PREPARING: {RequestReady: (S.ENROLLING,), StepFailed: (S.FAILED,)},
    S.ENROLLING: {Enrolled: (S.CONNECTING,), StepFailed: (S.WAITING, S.FAILED)},
    S.CONNECTING: {Connected: (S.ONLINE,), StepFailed: (S.WAITING, S.RELEASED, S.FAILED), **DEPARTURES},
    S.ONLINE: {
        Disconnected: (S.WAITING, S.FAILED),
        Deregistered: (S.RELEASED,),
        RenewalChecked: (S.ONLINE, S.RENEWING),
        **DEPARTURES,
    },
    S.RENEWING: {Enrolled: (S.CONNECTING,), StepFailed: (S.CONNECTING,)},
    S.WAITING: {RenewalChecked: (S.WAITING, S.RENEWING), **DEPARTURES},
    S.REBOOTING: {WokenUp: (S.OFF,)},
    S.SUSPENDED: {WokenUp: (S.CONNECTING,)},
    S.FACTORY: {WokenUp: (S.OFF,)},
    S.RELEASED: {},
    S.FAILED: {},
}


class Command(StrEnum):
    """What the driver is to do."""

    BOOT = "boot"
    """Look at the folder again; `Booted` tells what it holds."""
    ESTABLISH_TRUST = "establish-trust"
    PREPARE_REQUEST = "prepare-request"
    ENROL = "enrol"
    RENEW = "renew"
    CONNECT = "connect"
    CHECK_RENEWAL = "check-renewal"
    FORGET = "forget"
    REGISTER = "register"
    """OS 11, as the one that follows: device_life_os11.py."""
    CONTACT = "contact"


class DeviceLife(TableMachine[Event]):
    """See the module's docstring."""

    transitions = TRANSITIONS

    def __init__(
        self,
        policy: RetryPolicy,
        *,
        release_delay: float | None,
        chance: Callable[[], float],
    ) -> None:
        """`release_delay` is None for firmware that drops its registration at the first refusal (before 12.8.4)."""
        self.release_delay = release_delay or 0.0
        """Seconds; the driver may change it at any time."""
        self._policy = policy
        self._chance = chance
        self._attempt = 0
        self._connected_at = 0.0
        self._wake_at: float | None = None
        self._look_at: float | None = None
        self._resume = Command.CONNECT
        self._unknown_since: float | None = None
        self._request_pending = False
        self.state = State.OFF
        self.failure: Failure | None = None
        """The last failure; stays for the record after a later success."""

    def deadline(self) -> float | None:
        """When to call `on_deadline`; None for never."""
        if self._wake_at is None or self._look_at is None:
            return self._wake_at or self._daily_look()
        return min(self._wake_at, self._daily_look() or self._wake_at)

    def on_deadline(self, now: float) -> list[Command]:
        """A wait is over, or a day: go on."""
        if self._wake_at is not None and now >= self._wake_at:
            return self._begin(self._resume, now)
        look_at = self._daily_look()
        if look_at is None or now < look_at:
            return []
        self._look_at = now + DAY_SECONDS
        return [Command.CHECK_RENEWAL]

    def _daily_look(self) -> float | None:
        """When to look at the certificate: once a day, with or without a session (X8)."""
        enrolled = self.state is State.ONLINE or (self.state is State.WAITING and self._resume is Command.CONNECT)
        return self._look_at if enrolled else None

    def _react(self, event: Event, now: float) -> list[Command]:  # noqa: C901 - one case an event
        match event:
            case Booted():
                return self._boot(event, now)
            case TrustEstablished():
                return self._begin(Command.ENROL if self._request_pending else Command.PREPARE_REQUEST, now)
            case RequestReady():
                return self._begin(Command.ENROL, now)
            case Enrolled():
                self._attempt, self._look_at = 0, now + DAY_SECONDS
                return self._begin(Command.CONNECT, now)
            case Connected():
                self.state, self._connected_at, self._unknown_since = State.ONLINE, now, None
                return []
            case RenewalChecked():
                return self._begin(Command.RENEW, now) if event.due else []
            case Deregistered():
                return self._release()
            case Disconnected():
                return self._come_back(event.failure, now)
            case StepFailed():
                return self._fail(event.failure, now)
            case WokenUp():
                return self._begin(Command.CONNECT if self.state is State.SUSPENDED else Command.BOOT, now)
            case Departure():
                return self._depart(event, now)
        assert_never(event)

    def _boot(self, event: Booted, now: float) -> list[Command]:
        self._attempt = 0
        self._look_at = now + DAY_SECONDS
        self._request_pending = event.request_pending
        self._unknown_since = None if event.unknown_for is None else now - event.unknown_for
        if event.enrolled:
            return self._begin(Command.RENEW if event.renewal_due else Command.CONNECT, now)
        if not event.trusted:
            return self._begin(Command.ESTABLISH_TRUST, now)
        return self._begin(Command.ENROL if event.request_pending else Command.PREPARE_REQUEST, now)

    def _depart(self, event: Departure, now: float) -> list[Command]:
        """Go away, and set the alarm for coming back."""
        (self.state,) = DEPARTURES[type(event)]
        self._wake_at = None if event.seconds is None else now + event.seconds
        self._resume = Command.CONNECT if self.state is State.SUSPENDED else Command.BOOT
        return [Command.FORGET] if self.state is State.FACTORY else []

    def _begin(self, command: Command, now: float) -> list[Command]:
        self.state = _STATE_OF[command]
        self._wake_at = None
        if command is Command.RENEW:
            self._look_at = now + DAY_SECONDS
        return [command]

    def _fail(self, failure: Failure, now: float) -> list[Command]:
        if self.state is State.RENEWING:
            return self._renewal_failed(failure, now)
        if self.state is State.CONNECTING:
            if failure.reason is Reason.UNKNOWN_DEVICE and self._is_to_be_released(now):
                self.failure = failure
                return self._release()
            return self._retry(failure, now, self._reconnect())
        asked = failure.reason is Reason.AWAITING_APPROVAL  # RFC 7030 section 4.2.3: the client must ask again
        may_pass = asked or (self._policy.onboarding and failure.reason in MAY_PASS)
        return self._retry(failure, now, _AGAIN.get(self.state) if may_pass else None)

    def _renewal_failed(self, failure: Failure, now: float) -> list[Command]:
        """The old certificate may still do; the next look is in a day, or when the server wants to be asked again."""
        self.failure = failure
        if failure.reason is Reason.AWAITING_APPROVAL:
            self._look_at = now + self._wait(failure)
        return self._begin(Command.CONNECT, now)

    def _come_back(self, failure: Failure, now: float) -> list[Command]:
        if now - self._connected_at >= STABLE_SECONDS:
            self._attempt = 0
        return self._retry(failure, now, self._reconnect())

    def _reconnect(self) -> Command | None:
        return Command.CONNECT if self._policy.connection else None

    def _is_to_be_released(self, now: float) -> bool:
        if self._unknown_since is None:
            self._unknown_since = now
        return now - self._unknown_since >= self.release_delay

    def _release(self) -> list[Command]:
        self.state, self._wake_at = State.RELEASED, None
        return [Command.FORGET]

    def _retry(self, failure: Failure, now: float, again: Command | None) -> list[Command]:
        """Wait before doing `again`; without it, give up."""
        self.failure = failure
        if again is None:
            self.state, self._wake_at = State.FAILED, None
            return []
        if failure.reason is not Reason.AWAITING_APPROVAL:  # being told when to come is no reason to come ever later
            self._attempt += 1
        self.state, self._wake_at, self._resume = State.WAITING, now + self._wait(failure), again
        return []

    def _wait(self, failure: Failure) -> float:
        """Seconds: on top of what the server asked for, so that a fleet it sent away does not come back as a herd."""
        return max(0.0, failure.retry_after or 0.0) + self._policy.wait(max(1, self._attempt), self._chance())


_STATE_OF = {
    Command.BOOT: State.OFF,
    Command.ESTABLISH_TRUST: State.TRUSTING,
    Command.PREPARE_REQUEST: State.PREPARING,
    Command.ENROL: State.ENROLLING,
    Command.RENEW: State.RENEWING,
    Command.CONNECT: State.CONNECTING,
}

# The steps before enrolment that may be tried again; only these two talk to the server.
_AGAIN = {State.TRUSTING: Command.ESTABLISH_TRUST, State.ENROLLING: Command.ENROL}
