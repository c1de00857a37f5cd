# SPDX-License-Identifier: Apache-2.0
"""What the parts of one device share: who it is, what it keeps, the world around it, and how it behaves."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from umslab_agent.chance import Chance
from umslab_agent.happenings import Happening, Kind
from umslab_agent.link import TlsIdentity
from umslab_agent.parameters import Parameters, read_parameters, verification
from umslab_certs.tls import use_identity
from umslab_protocol.values.firmware import FirmwareVersion
from umslab_protocol.wire import paths
from umslab_runtime.clock import SkewedClock

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from umslab_agent.behaviour import DeviceBehaviour
    from umslab_agent.folder import DeviceFolder
    from umslab_agent.onboarding import World
    from umslab_agent.persona import Persona
    from umslab_protocol.values.host_port import HostPort
    from umslab_runtime.http import Headers
    from umslab_runtime.jobs import Jobs


@dataclass(frozen=True, slots=True, kw_only=True)
class Errand:
    """Where one file is fetched, and how the device proves there who it is."""

    target: HostPort
    identity: TlsIdentity
    path: str
    headers: Headers = field(default_factory=list)


@dataclass(slots=True, kw_only=True)
class Unit:
    """One device, as its parts see it."""

    persona: Persona
    folder: DeviceFolder
    world: World
    behaviour: DeviceBehaviour
    chance: Chance
    jobs: Jobs
    watcher: Callable[[Happening], None]
    boot: int = 0
    booted_at: datetime = datetime(1970, 1, 1, tzinfo=UTC)
    parameters: Parameters = field(default_factory=Parameters)
    _verification: dict[str, str] = field(default_factory=dict)
    connected_to: HostPort | None = None
    """The connector that let it in last."""
    errands: Callable[[str], Errand] | None = None
    """How an OS 11 device fetches the file with this SHA-256."""
    replacing: str = ""
    """As in the journal: which certificate is to be renewed, due or not."""

    @property
    def firmware(self) -> FirmwareVersion:
        """The firmware it runs."""
        return FirmwareVersion.parse(self.persona.firmware)

    @property
    def seed(self) -> str:
        """From which its inventory is made; differs from device to device."""
        return unit_seed(self.persona, self.behaviour)

    def now(self) -> float:
        """Monotonic seconds."""
        return self.world.clock.monotonic()

    def utc(self) -> datetime:
        """The device's own calendar."""
        return self.world.clock.utc()

    def tell(self, kind: Kind, text: str, **data: str | int) -> None:
        """Tell the watcher what happened."""
        self.watcher(Happening(kind, text, data))

    def put_in_effect(self, settings: Mapping[str, str]) -> None:
        """From now on the device behaves by these settings."""
        self.parameters = read_parameters(settings, self.firmware)
        self._verification = verification(settings) if self.firmware.major < 12 else {}

    @property
    def own_settings(self) -> dict[str, str]:
        """What it tells of its own settings: those made on the device, and on OS 11 the keys of G13 in effect."""
        return {**self._verification, **self.behaviour.local_settings}

    def identity(self) -> TlsIdentity:
        """How it proves who it is to a pinned server. Raises `CertificateError`, or `OSError` without a certificate."""
        kind = self.folder.identity_key_type()
        if kind is None:
            raise OSError("there is no identity to connect with")
        roots, intermediates = self.folder.load_trust()
        context = self.world.contexts.pinned(roots, intermediates, kind)
        return TlsIdentity(context, lambda: use_identity(context, self.folder.identity_file))

    def errand(self, sha256: str) -> Errand:
        """Say how the file with this SHA-256 is fetched. Raises `CertificateError`, or `OSError` without a server."""
        if self.errands is not None:
            return self.errands(sha256)
        if self.connected_to is None:
            raise OSError("there is no server to fetch files from")
        return Errand(target=self.connected_to, identity=self.identity(), path=f"{paths.FILES}/{sha256}")


def make_unit(
    persona: Persona,
    folder: DeviceFolder,
    world: World,
    behaviour: DeviceBehaviour,
    watcher: Callable[[Happening], None],
) -> Unit:
    """Put one device together; its calendar may be wrong (SE7)."""
    if behaviour.clock_skew_seconds:
        world = replace(world, clock=SkewedClock(world.clock, timedelta(seconds=behaviour.clock_skew_seconds)))
    return Unit(
        persona=persona,
        folder=folder,
        world=world,
        behaviour=behaviour,
        chance=Chance(f"umslab device {unit_seed(persona, behaviour)}"),
        jobs=world.host.jobs(),
        watcher=watcher,
    )


def unit_seed(persona: Persona, behaviour: DeviceBehaviour) -> str:
    """Return the seed of one device: all devices of a fleet have the fleet's number in their personas."""
    number = persona.seed if behaviour.seed is None else behaviour.seed
    return f"{number} {persona.unit_id}"


def stamp(moment: datetime) -> str:
    """Write a moment as the server does: `2026-11-21T20:40:00.123Z`."""
    return f"{moment:%Y-%m-%dT%H:%M:%S}.{moment.microsecond // 1000:03d}Z"
