# SPDX-License-Identifier: Apache-2.0
"""The services of one server, and how they hang together.

registry, keys, enrolment, certificates      who is on board
accounts, contacts, registration, tickets    the same for OS 11 devices
reach                                        how the others get hold of a device
configuration (profiles, assignments, ...)   what devices are to have
commands, jobs, views                        what devices are to do
rotation, client CAs, connectors             whom devices trust, and where they find us
online checks, scans                         which OS 11 devices are there, and which devices at all
sessions                                     hands each message to its handler, and calls the others after each hello
"""

from __future__ import annotations

import ssl
from dataclasses import dataclass
from datetime import timedelta
from ipaddress import ip_address
from typing import TYPE_CHECKING

from umslab_protocol.values.est_address import parse_est_address
from umslab_runtime.workers import Workers
from umslab_server.accounts import Accounts
from umslab_server.approval import Approvals
from umslab_server.attributes import Attributes
from umslab_server.automatic import Automatic
from umslab_server.certificates import (
    Certificates,
    open_or_create,
    open_or_create_os11,
    refuse_lost,
    refuse_lost_os11,
    standard_context,
)
from umslab_server.client_cas import ClientCas
from umslab_server.commanding.commands import Commands
from umslab_server.commanding.jobs import Jobs
from umslab_server.commanding.views import Views
from umslab_server.commanding.waking import Waker
from umslab_server.configuration.apps import Apps
from umslab_server.configuration.assignments import Assignments
from umslab_server.configuration.directories import Directories
from umslab_server.configuration.files import Files
from umslab_server.configuration.naming import Naming
from umslab_server.configuration.overview import Overview
from umslab_server.configuration.profiles import Profiles
from umslab_server.configuration.rules import Rules
from umslab_server.configuration.synchronise import Configuration
from umslab_server.connectors import Connectors
from umslab_server.device_sessions import DeviceSessions
from umslab_server.enrolment import Enrolment
from umslab_server.keys import Keys
from umslab_server.online_check import OnlineChecks
from umslab_server.os11.contacts import Contacts
from umslab_server.os11.registration import Registration
from umslab_server.os11.tickets import Tickets
from umslab_server.presence import Presence
from umslab_server.reach import Reach
from umslab_server.registering import count_generations
from umslab_server.registry import Registry
from umslab_server.reports import Reports
from umslab_server.rotation import Rotation
from umslab_server.scan import Scans
from umslab_server.scan_registration import ScanRegistration
from umslab_server.status import StatusMonitor
from umslab_server.store import Store
from umslab_server.tables import OS11
from umslab_server.throttle import Throttle
from umslab_server.why import Why

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from contextlib import AsyncExitStack

    from umslab_certs.device_communication import DeviceCommunication
    from umslab_runtime.clock import Clock
    from umslab_runtime.executor import Executor
    from umslab_runtime.network import Network
    from umslab_server.config import ServerConfig
    from umslab_server.state_folder import StateFolder

_ALWAYS_NAMED = ("localhost", "127.0.0.1", "::1")
_EVERYWHERE = {"0.0.0.0", "::"}


@dataclass(frozen=True, kw_only=True)
class Os11Services:
    """Who of the OS 11 devices comes in, and who may bring them."""

    accounts: Accounts
    contacts: Contacts
    registration: Registration
    tickets: Tickets


@dataclass(kw_only=True)
class Services:
    """The parts that the front, the control socket and tests talk to."""

    store: Store
    keys: Keys
    registry: Registry
    presence: Presence
    certificates: Certificates
    status: StatusMonitor
    sessions: DeviceSessions
    enrolment: Enrolment
    automatic: Automatic
    why: Why
    configuration: Configuration
    directories: Directories
    profiles: Profiles
    apps: Apps
    files: Files
    assignments: Assignments
    overview: Overview
    rules: Rules
    workers: Workers
    commands: Commands
    jobs: Jobs
    views: Views
    approvals: Approvals
    rotation: Rotation
    client_cas: ClientCas
    connectors: Connectors
    attributes: Attributes
    reach: Reach
    os11: Os11Services
    online_checks: OnlineChecks
    scans: Scans
    scan_registration: ScanRegistration


@dataclass(frozen=True, kw_only=True)
class Means:
    """What services need of the world."""

    clock: Clock
    writer: Executor
    reader: Executor
    written_documents: bool
    """Whether the codec can take settings that are serialised once for many devices."""
    check_time: bool
    """Whether OpenSSL judges certificate dates."""
    network: Network
    entropy: Callable[[int], bytes]
    """Gives so many random bytes, which nobody may be able to guess."""


async def open_services(config: ServerConfig, folder: StateFolder, means: Means, stack: AsyncExitStack) -> Services:
    """Open store and certificates and build the services; the stack closes what is to be closed.

    Raises `StoreError`, `CertificateError` and `OSError`.
    """
    refuse_lost(folder)
    names = certificate_names(config)
    web, clients = await means.writer.run(lambda: open_or_create(folder, names, config.certificates, means.clock.utc()))
    store = Store(
        folder.registry,
        clock=means.clock,
        writer=means.writer,
        reader=means.reader,
        keep_events=config.registry.events,
    )
    await means.writer.run(store.open)
    stack.callback(store.close)
    make_context = standard_context(
        minimum=ssl.TLSVersion.TLSv1_2 if config.tls_min == "1.2" else ssl.TLSVersion.TLSv1_3,
        tickets=config.tickets,
        check_time=means.check_time and not config.enrolment.accept_expired,
    )
    communication = await _open_os11(config, folder, means, store) if config.os11.enabled else None
    certificates = Certificates(
        web,
        clients,
        names=names,
        make_context=make_context,
        clock=means.clock,
        executor=means.writer,
        store=store,
        communication=communication,
    )
    return _build(config, folder, means, store=store, certificates=certificates, names=names)


async def _open_os11(config: ServerConfig, folder: StateFolder, means: Means, store: Store) -> DeviceCommunication:
    refuse_lost_os11(folder, (await store.read(count_generations))[OS11])
    return await means.writer.run(lambda: open_or_create_os11(folder, config.os11.key, means.clock.utc()))


def _build(
    config: ServerConfig,
    folder: StateFolder,
    means: Means,
    *,
    store: Store,
    certificates: Certificates,
    names: Sequence[str],
) -> Services:
    clock, presence = means.clock, Presence()
    workers = Workers(config.requests.threads, config.requests.queue)
    reach = Reach(presence, workers)
    configuration = Configuration(store, reach, written=means.written_documents)
    rules = Rules(store, configuration)
    commands = _build_commands(config, means, store, reach, workers, host=names[0])
    registry = Registry(store, reach, recycle_bin=config.registry.recycle_bin)
    registry.on_gone, registry.on_restored = commands.gone, configuration.restored
    automatic = Automatic(store, Throttle(config.throttle), enabled=config.enrolment.automatic, clock=clock)
    rotation = Rotation(store, presence, certificates, clock=clock)
    naming = Naming(config.registry.naming_prefix, config.registry.naming_digits)
    online_checks = OnlineChecks(store, presence, config=config.online_check, clock=clock)
    scan_registration = ScanRegistration(
        store, means.network, automatic, reply_host=reply_host(config.listen), clock=clock
    )
    connectors = Connectors(store, presence, config=config.connectors, names=config.names, clock=clock)
    return Services(
        store=store,
        keys=Keys(store),
        registry=registry,
        presence=presence,
        certificates=certificates,
        status=StatusMonitor(store, clock=clock, web_expires=certificates.web_expires, warning=connectors.warning),
        sessions=DeviceSessions(
            store,
            reach,
            clock=clock,
            accept_expired=config.enrolment.accept_expired,
            handlers={**Reports(store, placing=rules).handlers(), **configuration.handlers()},
            on_greeted=[one.greeted for one in (rules, rotation, connectors, commands, configuration)],
        ),
        enrolment=_build_enrolment(config, store, reach, certificates, automatic, naming=naming, clock=clock),
        automatic=automatic,
        why=Why(store, presence, clock=clock),
        configuration=configuration,
        directories=Directories(store, configuration),
        profiles=Profiles(store, configuration),
        apps=Apps(store, configuration),
        files=Files(store, configuration, folder.files, means.writer),
        assignments=Assignments(store, configuration),
        overview=Overview(store),
        rules=rules,
        workers=workers,
        commands=commands,
        jobs=Jobs(store, commands, clock=clock, expiry_minutes=config.jobs.expiry_minutes),
        views=Views(store, presence, clock=clock, refresh=online_checks.refresh),
        approvals=Approvals(store),
        rotation=rotation,
        client_cas=ClientCas(store, presence, certificates, clock=clock),
        connectors=connectors,
        attributes=Attributes(store),
        reach=reach,
        os11=_build_os11(config, store, reach, automatic, means=means, naming=naming),
        online_checks=online_checks,
        scan_registration=scan_registration,
        scans=_build_scans(config, means, store, workers, scan_registration),
    )


def _build_commands(
    config: ServerConfig, means: Means, store: Store, reach: Reach, workers: Workers, *, host: str
) -> Commands:
    waker = Waker(store, reach, means.network, config=config.wake_on_lan, reply_host=reply_host(config.listen))
    reach.wake = waker.wake
    return Commands(
        store,
        reach,
        clock=means.clock,
        workers=workers,
        host=host,
        timeout_seconds=config.requests.timeout_seconds,
    )


def _build_scans(
    config: ServerConfig, means: Means, store: Store, workers: Workers, registration: ScanRegistration
) -> Scans:
    return Scans(
        store,
        means.network,
        config=config.scan,
        reply_host=reply_host(config.listen),
        clock=means.clock,
        entropy=means.entropy,
        workers=workers,
        registration=registration,
    )


def _build_os11(
    config: ServerConfig, store: Store, reach: Reach, automatic: Automatic, *, means: Means, naming: Naming
) -> Os11Services:
    clock, throttle = means.clock, Throttle(config.throttle)  # of contacts and registrations together
    accounts = Accounts(store, means.reader)
    return Os11Services(
        accounts=accounts,
        contacts=Contacts(store, throttle, clock=clock),
        registration=Registration(
            store,
            reach,
            throttle,
            accounts=accounts,
            automatic=automatic,
            naming=naming,
            known_device=config.enrolment.known_device,
            clock=clock,
        ),
        tickets=Tickets(store, clock=clock),
    )


def _build_enrolment(
    config: ServerConfig,
    store: Store,
    reach: Reach,
    certificates: Certificates,
    automatic: Automatic,
    *,
    naming: Naming,
    clock: Clock,
) -> Enrolment:
    return Enrolment(
        store,
        reach,
        Throttle(config.throttle),
        authority=certificates.authority,
        clock=clock,
        lifetime=timedelta(days=config.certificates.device_days),
        known_device=config.enrolment.known_device,
        accept_expired=config.enrolment.accept_expired,
        approval_seconds=config.enrolment.approval_seconds if config.enrolment.approval == "manual" else None,
        naming=naming,
        automatic=automatic,
    )


def reply_host(listen: Sequence[str]) -> str:
    """Where answers of devices arrive: on loopback unless the server listens wider. IPv4, as devices are asked."""
    addresses = [one for one in listen if ":" not in one]
    return "127.0.0.1" if all(map(_is_loopback, addresses)) else "0.0.0.0"


def _is_loopback(host: str) -> bool:
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return False  # what is no address is told by who listens on it


def device_names(config: ServerConfig) -> list[str]:
    """What an imported web certificate must cover: the names under which devices come."""
    connectors = config.connectors
    addresses = (connectors.cluster_address, connectors.public_address, connectors.enrolment_address)
    return list(dict.fromkeys([*config.names, *(parse_est_address(one).at.host for one in addresses if one)]))


def certificate_names(config: ServerConfig) -> list[str]:
    """What the web certificate covers: every configured name and address, and this machine's own (C6, T17)."""
    listened = [host for host in config.listen if host not in _EVERYWHERE]
    return list(dict.fromkeys([*device_names(config), *_ALWAYS_NAMED, *listened]))
