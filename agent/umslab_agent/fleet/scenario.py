# SPDX-License-Identifier: Apache-2.0
"""What a fleet is and does: every key of a scenario file with its default, unit and bounds.

Everything here is ours. `umslab fleet run` reads it as TOML; unknown keys are refused with their line. All times are
those of the scenario: with a `time_scale` of 60 an hour of it takes a minute (`in_real_time`). What the server decides
is not here and not scaled: pings, heartbeats, the life of certificates.
"""

from __future__ import annotations

from ipaddress import IPv4Network
from typing import TYPE_CHECKING, Annotated, Literal, TypeVar

import msgspec
from msgspec import Meta, Struct

from umslab_agent.behaviour import DeviceBehaviour
from umslab_agent.fleet.report import MOST_THRESHOLDS
from umslab_agent.fleet.thresholds import ThresholdText, parse_threshold
from umslab_agent.persona import MODELS
from umslab_certs.keys import KeyType
from umslab_protocol.values.firmware import DEFAULT_FIRMWARE, FirmwareVersion
from umslab_protocol.values.structure_tag import parse_structure_tag
from umslab_protocol.wire.orders import CommandName

if TYPE_CHECKING:
    from collections.abc import Callable

MOST_DEVICES = 200_000
"""In one plan; several machines take index ranges of their own."""
OS11_FIRMWARE = FirmwareVersion(11, 10, 150)

Seconds = Annotated[float, Meta(ge=0, le=30 * 86_400)]
Rate = Annotated[float, Meta(gt=0, le=100_000)]
PerDay = Annotated[float, Meta(ge=0, le=100_000)]
Weight = Annotated[float, Meta(gt=0, le=1_000_000)]
Share = Annotated[float, Meta(ge=0, le=1)]
Name = Annotated[str, Meta(min_length=1, max_length=60, pattern=r"^[^/\x00-\x1f]*$")]


T = TypeVar("T", bound=Struct)


class _Part(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """A table of the file."""


class Kind(_Part, frozen=True, kw_only=True):
    """One kind of device in the mix: `[[mix]]`."""

    weight: Weight = 1.0
    """How many of it there are, against the others."""
    os: Literal[11, 12] = 12
    """The generation of IGEL OS that it runs."""
    model: str = ""
    """Its hardware; without a value any."""
    firmware: str = ""
    """Decides behaviour; without a value the usual one of its OS."""
    key_type: KeyType = KeyType.P256
    """Of the device's own key; real devices use rsa-4096 (X7)."""
    trust: Literal["strongest", "token", "ca-hash", "first-use"] = "strongest"
    """By what the server is judged at first contact; `strongest`: by the best that the command line gives."""
    source: Literal["host", "dns", "dhcp"] = "host"
    """How it finds the server: it is told (`host`), asks the name servers of `--nameserver` (D1), or leases by DHCP on
    `--dhcp-interface` (D2), which needs a lab network: without one its devices are skipped."""

    def __post_init__(self) -> None:
        """Raise `ValueError`, which names the key, for a value that has another form."""
        if self.model and self.model not in MODELS:
            raise ValueError(f"model: one of {', '.join(MODELS)}, not {self.model!r}")
        if self.firmware and FirmwareVersion.parse(self.firmware).major != self.os:
            raise ValueError(f"firmware: {self.firmware} is not one of OS {self.os}")

    @property
    def runs(self) -> FirmwareVersion:
        """The firmware that it runs."""
        usual = DEFAULT_FIRMWARE if self.os == 12 else OS11_FIRMWARE
        return FirmwareVersion.parse(self.firmware) if self.firmware else usual


class Site(_Part, frozen=True, kw_only=True):
    """One place where devices stand: `[[sites]]`."""

    name: Name
    """By which storms find it, and reports call it."""
    weight: Weight = 1.0
    """How many devices stand there, against the other sites."""
    circuits: Annotated[int, Meta(ge=1, le=1_000)] = 1
    """Power circuits, numbered from 1; its devices hang on them in turn."""
    structure_tag: str = ""
    """What its devices say they belong to (section 6.2)."""
    offset_seconds: Seconds = 0.0
    """Its devices arrive so much later: another time zone."""

    def __post_init__(self) -> None:
        """Raise `ValueError` for a structure tag that is none."""
        if self.structure_tag:
            parse_structure_tag(self.structure_tag)


# Arrivals: when devices are switched on.


class AtOnce(_Part, frozen=True, kw_only=True, tag_field="kind", tag="at-once"):
    """All together."""


class Ramp(_Part, frozen=True, kw_only=True, tag_field="kind", tag="ramp"):
    """Evenly over a time."""

    seconds: Seconds = 10.0
    """From the first to what would be one more than the last."""


class ConstantRate(_Part, frozen=True, kw_only=True, tag_field="kind", tag="rate"):
    """One after the other, always the same time between two."""

    per_second: Rate
    """How many."""


class Poisson(_Part, frozen=True, kw_only=True, tag_field="kind", tag="poisson"):
    """Independently of each other: so many a second on average."""

    per_second: Rate
    """How many on average."""


class Replay(_Part, frozen=True, kw_only=True, tag_field="kind", tag="replay"):
    """As recorded: one number of seconds for each device, in order."""

    file: str = ""
    """A CSV file whose first column has them, beside the scenario; its first line may be a heading."""
    seconds: tuple[Seconds, ...] = ()
    """The numbers themselves."""

    def __post_init__(self) -> None:
        """Raise `ValueError` unless there is exactly one of the two."""
        if bool(self.file) == bool(self.seconds):
            raise ValueError("replay takes either file or seconds")


Arrivals = AtOnce | Ramp | ConstantRate | Poisson | Replay


# Phases: what happens, one after the other.


class Onboard(_Part, frozen=True, kw_only=True, tag_field="kind", tag="onboard"):
    """Devices arrive; ends when each is managed or has given up."""

    within_seconds: Seconds = 300.0
    """At the latest so long after the last arrival."""


class Steady(_Part, frozen=True, kw_only=True, tag_field="kind", tag="steady"):
    """Devices live as `behaviour` says."""

    seconds: Seconds
    """How long."""


class Storm(_Part, frozen=True, kw_only=True, tag_field="kind", tag="storm"):
    """Many devices are gone at one moment; ends when all are managed again."""

    cause: Literal["network", "power"] = "network"
    """`network`: sessions break, and devices try again by `retry`. `power`: devices are off, and boot afterwards."""
    who: str = "all"
    """`all`, the name of a site, or `SITE/N` for one of its circuits."""
    away_seconds: Seconds = 0.0
    """How long the network or the power is away."""
    spread_seconds: Seconds = 0.0
    """Power: each device boots up to so much later than it could, by chance."""
    within_seconds: Seconds = 300.0
    """Ends at the latest so long after network or power are back."""


class CommandWave(_Part, frozen=True, kw_only=True, tag_field="kind", tag="command"):
    """The server commands something to all; ends when all have answered."""

    command: CommandName = CommandName.REFRESH_SYSTEM_INFORMATION
    """As `umslab ctl command` names it."""
    parameters: dict[str, str] = {}
    """What the command needs."""
    within_seconds: Seconds = 60.0
    """At the latest after so long; also each device's time to answer."""


class RenewalWave(_Part, frozen=True, kw_only=True, tag_field="kind", tag="renewal"):
    """All devices renew their certificates; ends when all have done so and are managed."""

    spread_seconds: Seconds = 0.0
    """Each begins up to so much later, by chance."""
    within_seconds: Seconds = 300.0
    """Ends at the latest so long after the last has begun."""


class Drain(_Part, frozen=True, kw_only=True, tag_field="kind", tag="drain"):
    """Devices say goodbye and are switched off; every run ends so, whether it is written or not."""

    spread_seconds: Seconds = 0.0
    """Evenly over so long."""
    within_seconds: Seconds = 30.0
    """At the latest so long after the last goodbye, devices are cut off."""


Phase = Onboard | Steady | Storm | CommandWave | RenewalWave | Drain


class Behaviour(_Part, frozen=True, kw_only=True):
    """What devices do by themselves in steady phases: `[behaviour]`."""

    reboots_per_day: PerDay = 0.0
    """Each takes `device.boot_seconds`."""
    suspends_per_day: PerDay = 0.0
    """How often a device is suspended."""
    suspend_seconds: Seconds = 600.0
    """For how long."""
    network_losses_per_day: PerDay = 0.0
    """The session breaks without a word."""
    network_loss_seconds: Seconds = 5.0
    """For so long the device reaches nobody."""
    device: DeviceBehaviour = DeviceBehaviour()
    """As in the file of `umslab device --behaviour` (docs/device.md)."""


class Flat(_Part, frozen=True, kw_only=True, tag_field="kind", tag="flat"):
    """Always the same wait."""

    seconds: Annotated[float, Meta(gt=0, le=86_400)] = 5.0
    """The wait."""
    jitter: Share = 0.0
    """Share of each wait that chance decides."""
    before_enrolment: bool = True
    """Try again before the device is enrolled, too, when the reason may pass by itself."""


class Exponential(_Part, frozen=True, kw_only=True, tag_field="kind", tag="exponential"):
    """Each wait is so many times the last one (L12)."""

    first_seconds: Annotated[float, Meta(gt=0, le=86_400)] = 1.0
    """The first wait."""
    factor: Annotated[float, Meta(ge=1, le=100)] = 2.0
    """By which each next one is longer."""
    most_seconds: Annotated[float, Meta(gt=0, le=86_400)] = 300.0
    """The longest wait."""
    jitter: Share = 0.5
    """Share of each wait that chance decides."""
    before_enrolment: bool = True
    """Try again before the device is enrolled, too, when the reason may pass by itself."""


Retry = Flat | Exponential


class Scenario(_Part, frozen=True, kw_only=True):
    """The whole file."""

    name: Name = "fleet"
    """What reports call it."""
    about: Annotated[str, Meta(max_length=1_000)] = ""
    """One sentence for people."""
    devices: Annotated[int, Meta(ge=1, le=MOST_DEVICES)] = 10
    """How many."""
    first_index: Annotated[int, Meta(ge=0, le=2**31)] = 0
    """Devices are numbered from here: two machines with other ranges have other devices."""
    seed: Annotated[int, Meta(ge=0, le=2**63 - 1)] = 1
    """All chance comes from it; the same seed and index are always the same device."""
    time_scale: Annotated[float, Meta(gt=0, le=100_000)] = 1.0
    """Seconds of the scenario that pass in a real one."""
    mix: Annotated[tuple[Kind, ...], Meta(min_length=1, max_length=100)] = (Kind(),)
    """Kinds of devices, dealt out exactly by their weights."""
    sites: Annotated[tuple[Site, ...], Meta(max_length=1_000)] = ()
    """Without any, all devices stand at one site without a name."""
    addresses: Annotated[tuple[str, ...], Meta(max_length=100)] = ()
    """IPv4 networks of this machine whose addresses devices call from, in turn; without any, the system chooses."""
    arrivals: Arrivals = Ramp()
    """When devices are switched on."""
    outstanding: Annotated[int, Meta(ge=0, le=MOST_DEVICES)] = 0
    """Most devices that have arrived and are not settled yet; others wait, and their time counts. 0: any number."""
    phases: Annotated[tuple[Phase, ...], Meta(min_length=1, max_length=100)] = (Onboard(),)
    """What happens, one after the other; the first is `onboard`."""
    behaviour: Behaviour = Behaviour()
    """What devices do by themselves."""
    retry: Retry = Exponential()
    """What devices do when something does not work."""
    thresholds: Annotated[tuple[ThresholdText, ...], Meta(max_length=MOST_THRESHOLDS)] = ()
    """What the run is to keep, one sentence each, such as `managed.p99 < 5s`; they decide the exit code."""

    def __post_init__(self) -> None:
        """Raise `ValueError` for what fits no other key."""
        names = [site.name for site in self.sites]
        if len(set(names)) != len(names):
            raise ValueError("sites: two have the same name")
        for threshold in self.thresholds:
            _naming("thresholds", parse_threshold, threshold)
        for network in self.addresses:
            _naming("addresses", IPv4Network, network, False)
        for phase in self.phases:
            if isinstance(phase, Storm):
                self._check_place(phase.who)
        if not isinstance(self.phases[0], Onboard) or sum(isinstance(one, Onboard) for one in self.phases) > 1:
            raise ValueError("phases: the first one is onboard, and no other")
        if any(isinstance(phase, Drain) for phase in self.phases[:-1]):
            raise ValueError("phases: drain is the last one")
        if isinstance(self.arrivals, Replay) and 0 < len(self.arrivals.seconds) < self.devices:
            raise ValueError(f"arrivals: {len(self.arrivals.seconds)} are recorded for {self.devices} devices")

    def _check_place(self, who: str) -> None:
        name, slash, circuit = who.partition("/")
        if who == "all":
            return
        site = next((site for site in self.sites if site.name == name), None)
        if site is None:
            known = ", ".join(site.name for site in self.sites)
            raise ValueError(f"phases: who: there is no site {name!r}" + (f" among {known}" if known else ""))
        if slash and not (circuit.isdecimal() and 1 <= int(circuit) <= site.circuits):
            raise ValueError(f"phases: who: {name} has the circuits {name}/1 to {name}/{site.circuits}, not {who}")


def _naming(key: str, read: Callable[..., object], *what: object) -> None:
    """Read a value; what is wrong with it names the key."""
    try:
        read(*what)
    except ValueError as error:
        raise ValueError(f"{key}: {error}") from None


def in_real_time(scenario: Scenario) -> Scenario:
    """Return the scenario with its times as they pass for the machine: divided by its `time_scale`, which is then 1."""
    return _scaled(scenario, scenario.time_scale)


def _scaled(part: T, scale: float) -> T:
    """Divide every time, multiply every rate, in this table and in those inside it: the names of keys tell which."""
    if scale == 1:
        return part
    changes: dict[str, object] = {}
    for name in part.__struct_fields__:
        value = getattr(part, name)
        if name == "time_scale":
            changes[name] = 1.0
        elif isinstance(value, Struct):
            changes[name] = _scaled(value, scale)
        elif isinstance(value, tuple) and value and isinstance(value[0], Struct):
            changes[name] = tuple(_scaled(one, scale) for one in value)
        elif isinstance(value, tuple) and name == "seconds":
            changes[name] = tuple(one / scale for one in value)
        elif value is not None and name.endswith("seconds") and name != "clock_skew_seconds":
            changes[name] = value / scale
        elif name.endswith(("_per_day", "per_second")):
            changes[name] = value * scale
    return msgspec.structs.replace(part, **changes)
