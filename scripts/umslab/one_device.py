# SPDX-License-Identifier: Apache-2.0
"""Builds one device out of its parts and runs it on the real network; the command line and the demo use it."""

from __future__ import annotations

import os
import random
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING

from umslab import plugins
from umslab.dhcp.own_lease import OwnLease, learn_names, open_own_lease
from umslab.neighbours import policy_here
from umslab.protocol_dump import TappedCodec
from umslab_agent.behaviour import DeviceBehaviour
from umslab_agent.chance import Chance
from umslab_agent.contexts import TlsContexts
from umslab_agent.device import Device
from umslab_agent.dhcp import DeviceDhcp
from umslab_agent.dhcp_source import DhcpSource, Heard
from umslab_agent.discovery import DEFAULT_SOURCES, Discovery, Source, command_line
from umslab_agent.dns_source import DnsSource
from umslab_agent.happenings import ignore
from umslab_agent.mdns_source import MdnsSource
from umslab_agent.onboarding import World
from umslab_agent.os11.device import Os11Device
from umslab_agent.os11.finding import stored_address
from umslab_agent.persona import derive_persona
from umslab_agent.unit import unit_seed
from umslab_certs.keys import KeyType
from umslab_protocol.machines.device_life import RELEASE_DELAY, DeviceLife
from umslab_protocol.machines.device_life_os11 import Os11DeviceLife
from umslab_protocol.machines.retrying import RetryPolicy
from umslab_protocol.values.firmware import DEFAULT_FIRMWARE, Behaviour, FirmwareVersion, behaves
from umslab_protocol.values.host_port import DEFAULT_WEB_PORT, DEVICE_COMMUNICATION_PORT
from umslab_protocol.values.unit_id import UnitId
from umslab_protocol.wire.codec import ENTRY_POINT_GROUP
from umslab_protocol.wire.igel_dhcp import ExtraCodes
from umslab_runtime.clock import SystemClock
from umslab_runtime.dns import DnsClient, DnsNetwork, DnsSettings, ask_by_socket, read_resolv_conf
from umslab_runtime.executor import ThreadExecutor
from umslab_runtime.net_trio import TrioNetwork
from umslab_runtime.network import DialError
from umslab_runtime.policy import TargetPolicy, effective_address
from umslab_runtime.session_host import open_session_host

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Sequence

    from umslab_agent.discovery import Finder
    from umslab_agent.folder import DeviceFolder
    from umslab_agent.happenings import Happening
    from umslab_agent.living import Change, LivingDevice
    from umslab_agent.nearby import Nearby
    from umslab_agent.os11.device import Os11Settings
    from umslab_agent.persona import Persona
    from umslab_agent.trust import TrustMode
    from umslab_protocol.values.est_address import EstAddress
    from umslab_protocol.values.host_port import HostPort
    from umslab_protocol.wire.codec import SessionCodec
    from umslab_protocol.wire.dhcp_options import Option
    from umslab_runtime.http_client import Tap
    from umslab_runtime.policy import IPAddress

WRITE_SECONDS = 20.0


@dataclass(frozen=True, kw_only=True)
class DeviceOptions:
    """What a user can say about a device."""

    target: HostPort | None
    """None: the sources find it."""
    trust_mode: TrustMode
    enrol_at: EstAddress | None = None
    """For EST, until the server names another address; None: `target`."""
    auth_key: str | None = None
    firmware: FirmwareVersion | None = None
    """None: what the folder says, for a new one the default."""
    unit_id: UnitId | None = None
    structure_tag: str = ""
    key_type: KeyType = KeyType.P256
    policy: RetryPolicy = field(default_factory=RetryPolicy)
    behaviour: DeviceBehaviour = field(default_factory=DeviceBehaviour)
    finding: Finding | None = None
    """None: nothing is looked for, `target` it is."""
    os11: Os11Settings | None = None
    """None: the device runs OS 12."""


@dataclass(frozen=True, kw_only=True)
class Finding:
    """What a user can say about how a device finds its UMS."""

    sources: tuple[Source, ...] = DEFAULT_SOURCES
    lease: tuple[Option, ...] | None = None
    """What DHCP gave to somebody before."""
    own_lease: OwnLease | None = None
    """The device asks DHCP by itself."""
    extra: ExtraCodes = field(default_factory=ExtraCodes)
    nameservers: tuple[HostPort, ...] = ()
    """None: those that DHCP gave, else those of /etc/resolv.conf, as far as the target policy lets us ask them."""
    search: tuple[str, ...] = ()
    mdns: bool = False
    """Off unless asked for."""
    mdns_on: tuple[str, ...] = ()
    """Addresses of this machine whose networks the user owns; none: loopback and namespaces that umslab made."""


def load_persona(folder: DeviceFolder, options: DeviceOptions) -> Persona:
    """Return who the device is, made up and kept on first use; what the user says anew is kept too.

    Raises `DeviceFolderError` for a damaged folder, and `ValueError` when the user wants another unit ID than the
    folder has.
    """
    known = folder.load_persona()
    if known is not None and options.unit_id not in {None, known.unit_id}:
        raise ValueError(f"{folder.path} belongs to the device {known.unit_id}: choose another folder with --state")
    kept_firmware = DEFAULT_FIRMWARE if known is None else FirmwareVersion.parse(known.firmware)
    persona = derive_persona(
        random.SystemRandom().getrandbits(48) if known is None else known.seed,
        0,
        firmware=options.firmware or kept_firmware,
        unit_id=options.unit_id if known is None else UnitId(known.unit_id),
        structure_tag=options.structure_tag or ("" if known is None else known.structure_tag),
    )
    folder.save_persona(persona)
    return persona


@asynccontextmanager
async def open_world(
    *,
    owned_hosts: Sequence[str] = (),
    session_codec: str = "json",
    tap: Tap | None = None,
    finding: Finding | None = None,
    source: str = "",
) -> AsyncIterator[World]:
    """Open the real world for devices: sockets, system clock, worker threads; `source` is the device's own address.

    Raises `SettingsError` for an unknown codec, `ValueError` for an owned host that has no address.
    """
    codec: SessionCodec = plugins.load(ENTRY_POINT_GROUP, session_codec)
    clock = SystemClock()
    policy = policy_here(await owned_addresses(owned_hosts))
    client, network = None, TrioNetwork(policy)
    if finding is not None:
        client = dns_client(finding, policy)
        network = DnsNetwork(policy, client) if finding.nameservers or finding.own_lease else network
    leasing = open_own_lease(None if finding is None else finding.own_lease, policy.owned, clock)
    async with open_session_host(clock, write_seconds=WRITE_SECONDS) as host, leasing as dhcp:
        yield World(
            network=network.calling_from(source) if source else network,
            clock=clock,
            executor=ThreadExecutor(),
            contexts=TlsContexts(),
            codec=codec if tap is None else TappedCodec(codec, tap),
            host=host,
            entropy=os.urandom,
            tap=tap,
            dns=client,
            dhcp=dhcp,
        )


def make_device(
    world: World,
    folder: DeviceFolder,
    persona: Persona,
    options: DeviceOptions,
    on_change: Callable[[Change], None],
    *,
    on_happening: Callable[[Happening], None] = ignore,
    nearby: Nearby | None = None,
) -> LivingDevice:
    """Build a device; `run` it."""
    chance = Chance(f"umslab waits {unit_seed(persona, options.behaviour)}")
    if options.os11 is not None:
        return Os11Device(
            persona,
            folder,
            options.target,
            world,
            life=Os11DeviceLife(options.policy, chance=chance.random),
            settings=options.os11,
            on_change=on_change,
            behaviour=options.behaviour,
            on_happening=on_happening,
            discovery=_discovery(world, options, persona, nearby),
            nearby=nearby,
        )
    delay = release_delay(FirmwareVersion.parse(persona.firmware))
    return Device(
        persona,
        folder,
        options.target,
        world,
        life=DeviceLife(options.policy, release_delay=delay, chance=chance.random),
        trust_mode=options.trust_mode,
        auth_key=options.auth_key,
        key_type=options.key_type,
        on_change=on_change,
        behaviour=options.behaviour,
        on_happening=on_happening,
        discovery=_discovery(world, options, persona, nearby),
        nearby=nearby,
        enrol_at=options.enrol_at,
    )


def dns_client(finding: Finding, policy: TargetPolicy) -> DnsClient:
    """Build the resolver: with the name servers the user named, or those of the machine (D1).

    A device that leases by itself has no machine around it: it learns names from its lease.
    """
    named = frozenset(effective_address(server.host) for server in finding.nameservers)
    machine = read_resolv_conf() if finding.own_lease is None else DnsSettings()
    settings = DnsSettings(finding.nameservers or machine.nameservers, finding.search or machine.search)
    return DnsClient(settings, ask_by_socket, policy=TargetPolicy(policy.owned | named, namespace=policy.namespace))


def _discovery(world: World, options: DeviceOptions, persona: Persona, nearby: Nearby | None) -> Discovery | None:
    finding = options.finding
    if finding is None:
        return None
    port = DEFAULT_WEB_PORT if options.os11 is None else DEVICE_COMMUNICATION_PORT
    finders: dict[Source, Finder] = {}
    if world.dns is not None:
        finders[Source.DNS] = DnsSource(world.dns, port=port).find
    dhcp = _dhcp(world, finding)
    source = None if dhcp is None else DhcpSource(dhcp.heard, finding.extra, port=port)
    if finding.lease is not None:
        given = Heard(finding.lease, FirmwareVersion.parse(persona.firmware))
        source = DhcpSource(lambda: given, finding.extra, port=port)
    if source is not None:
        finders |= {Source.DHCP43: source.find_vendor, Source.DHCP224: source.find_global}
    if finding.mdns:
        finders[Source.MDNS] = MdnsSource(world.network, finding.mdns_on).find
    if options.target is not None:
        finders[Source.COMMAND_LINE] = command_line(options.target)
    if nearby is not None:
        finders[Source.SCAN] = partial(nearby.orders.find, os11=options.os11 is not None)
    return Discovery(
        finding.sources,
        finders,
        trust_mode=options.trust_mode,
        auth_key=options.auth_key,
        structure_tag=options.structure_tag,
        dhcp=dhcp,
        stored=None if options.os11 is None else stored_address,
    )


def _dhcp(world: World, finding: Finding) -> DeviceDhcp | None:
    if world.dhcp is None or finding.own_lease is None:
        return None
    said = DnsSettings(finding.nameservers, finding.search)

    def learn(options: Sequence[Option]) -> None:
        if world.dns is not None:
            learn_names(world.dns, options, said)

    return DeviceDhcp(world.dhcp, finding.own_lease.addressing, on_options=learn)


def release_delay(firmware: FirmwareVersion) -> float | None:
    """How long "unknown device" must last until this firmware drops its registration (L5); None: not at all."""
    return RELEASE_DELAY if behaves(firmware, Behaviour.RELEASE_RULE) else None


async def owned_addresses(hosts: Sequence[str]) -> frozenset[IPAddress]:
    """The addresses behind the names the user owns, looked up once: later changes in DNS add none."""
    addresses: set[IPAddress] = set()
    for host in hosts:
        try:
            addresses |= {effective_address(address) for address in await TrioNetwork().resolve(host)}
        except DialError as error:
            raise ValueError(f"--i-own {host}: {error.detail}") from None
    return frozenset(addresses)
