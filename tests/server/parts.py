# SPDX-License-Identifier: Apache-2.0
"""The services of a server without its network: a real store in a folder, virtual time, and devices that ask."""

from __future__ import annotations

import hashlib
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import cache
from typing import TYPE_CHECKING, Any

import structlog
import trio

from umslab_certs.authority import Authority, create_root
from umslab_certs.csr import build_request
from umslab_certs.keys import KeyType, PrivateKey, generate_key
from umslab_protocol.values.auth_key import KeyKind
from umslab_protocol.values.unit_id import UnitId
from umslab_runtime.clock import VirtualClock
from umslab_runtime.executor import InlineExecutor
from umslab_runtime.http import Peer
from umslab_runtime.streams import Address
from umslab_server.device_sessions import DeviceSessions
from umslab_server.enrolment import Enrolment, Issued, KnownDevice
from umslab_server.keys import Keys
from umslab_server.presence import Presence
from umslab_server.reach import Reach
from umslab_server.registry import Registry
from umslab_server.reports import Reports
from umslab_server.sessions import Admitted
from umslab_server.store import Event, Store
from umslab_server.throttle import Throttle, ThrottleRules

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator, MutableMapping, Sequence
    from pathlib import Path

    from umslab_runtime.clock import Clock
    from umslab_server.enrolment import EnrolmentRefused
    from umslab_server.sessions import NotAdmitted

EPOCH = datetime(2026, 1, 1, tzinfo=UTC)
YEAR = timedelta(days=365)
HERE = "192.0.2.7"
ELSEWHERE = "198.51.100.9"


@cache
def client_ca() -> Authority:
    """The client CA of all tests that do not care."""
    return create_root("umslab lab EST client CA test", KeyType.P256, now=EPOCH, path_length=0)


def unit_id(number: int) -> UnitId:
    """The unit ID of the device with this number."""
    return UnitId(f"0200{number:08X}")


@dataclass
class Endpoint:
    """A device as far as a server can see it."""

    number: int = 1
    key: PrivateKey = field(default_factory=lambda: generate_key(KeyType.P256))

    def __post_init__(self) -> None:
        """Make its one request, which it keeps and sends again and again."""
        self.unit_id = unit_id(self.number)
        self.request = self.another_request()

    def another_request(self) -> bytes:
        """Another request with the same key: ECDSA signatures differ each time."""
        return build_request(self.unit_id, self.key)


def digest(der: bytes) -> str:
    """SHA-256 as the registry writes it."""
    return hashlib.sha256(der).hexdigest()


def peer(certificate: bytes | None, host: str = HERE) -> Peer:
    """Somebody who connects with this client certificate."""
    return Peer(Address(host, 40_000), "TLSv1.3", certificate)


@dataclass
class Office:
    """The services, wired as the composition root wires them."""

    store: Store
    clock: Clock
    presence: Presence
    reach: Reach
    keys: Keys
    registry: Registry
    sessions: DeviceSessions
    authority: Authority
    enrolment: Enrolment = field(init=False)

    async def mass_key(self, text: str = "mass-key") -> str:
        """Make a mass-deployment key."""
        await self.keys.create(KeyKind.MASS, chosen=text, actor="test")
        return text

    async def one_time_key(self) -> str:
        """Make a one-time key."""
        (key,) = await self.keys.create(KeyKind.ONE_TIME, actor="test")
        return key.secret or ""

    async def ask(
        self, endpoint: Endpoint, secret: str, *, request: bytes | None = None, source: str = HERE
    ) -> Issued | EnrolmentRefused:
        """Enrol, and return the answer whatever it is."""
        return await self.enrolment.enrol(request or endpoint.request, secret, source)

    async def enrol(
        self, endpoint: Endpoint, secret: str, *, request: bytes | None = None, source: str = HERE
    ) -> bytes:
        """Enrol, which must succeed; return the certificate."""
        answer = await self.ask(endpoint, secret, request=request, source=source)

        assert isinstance(answer, Issued), answer
        return answer.certificate

    async def admit(self, certificate: bytes | None, host: str = HERE) -> Admitted | NotAdmitted:
        """Come to `ws-connect`."""
        return await self.sessions.admit(peer(certificate, host))

    async def use(self, certificate: bytes) -> None:
        """Come to `ws-connect`, which must succeed."""
        admitted = await self.admit(certificate)

        assert isinstance(admitted, Admitted), admitted

    async def device(self, number: int = 1, *, secret: str | None = None) -> bytes:
        """A registered device that has used its certificate, which is returned."""
        certificate = await self.enrol(Endpoint(number), secret or await self.mass_key(f"key-{number}"))
        await self.use(certificate)
        return certificate

    async def certificate_states(self, number: int = 1) -> list[str]:
        """The states of a device's certificates, in the order of issue."""
        return [one.state for one in (await self.registry.show(unit_id(number))).certificates]

    async def events(self, *kinds: str) -> list[Event]:
        """The feed from its beginning; with `kinds`, only these."""
        found = await self.store.events(0, limit=10_000)
        return [event for event in found if not kinds or event.kind in kinds]

    async def uses(self) -> list[int]:
        """The use counts of all keys."""
        return [key.uses for key in await self.keys.list_keys()]


def new_store(path: Path, clock: Clock | None = None, *, keep_events: int = 1_000_000) -> Store:
    """A store that is not open yet."""
    inline = InlineExecutor()
    return Store(path, clock=clock or VirtualClock(EPOCH), writer=inline, reader=inline, keep_events=keep_events)


@asynccontextmanager
async def open_store(path: Path, clock: Clock | None = None, *, keep_events: int = 1_000_000) -> AsyncIterator[Store]:
    """Open a store and keep it running."""
    store = new_store(path, clock, keep_events=keep_events)
    store.open()
    try:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(store.run)
            yield store
            nursery.cancel_scope.cancel()
        await store.drain()
    finally:
        store.close()


@asynccontextmanager
async def open_office(
    folder: Path,
    *,
    rules: ThrottleRules | None = None,
    known_device: KnownDevice = KnownDevice.ACCEPT,
    accept_expired: bool = False,
    recycle_bin: bool = True,
    lifetime: timedelta = YEAR,
) -> AsyncIterator[Office]:
    """Open the services on a folder; opening it again is a restart of the server."""
    clock = VirtualClock(EPOCH)
    async with open_store(folder / "registry.sqlite", clock) as store:
        presence = Presence()
        reach = Reach(presence)
        office = Office(
            store=store,
            clock=clock,
            presence=presence,
            reach=reach,
            keys=Keys(store),
            registry=Registry(store, reach, recycle_bin=recycle_bin),
            sessions=DeviceSessions(
                store,
                reach,
                clock=clock,
                accept_expired=accept_expired,
                handlers=Reports(store).handlers(),
                on_greeted=[],
            ),
            authority=client_ca(),
        )
        office.enrolment = Enrolment(
            store,
            reach,
            Throttle(rules or ThrottleRules()),
            authority=lambda: office.authority,
            clock=clock,
            lifetime=lifetime,
            known_device=known_device,
            accept_expired=accept_expired,
        )
        yield office


def fill_disk(store: Store) -> None:
    """Let the file grow no further: SQLite then fails as on a full disk."""
    pages = store._write_connection.exec_driver_sql("PRAGMA page_count").scalar()
    store._write_connection.exec_driver_sql(f"PRAGMA max_page_count = {pages}")


def free_disk(store: Store) -> None:
    """Give it room again."""
    store._write_connection.exec_driver_sql("PRAGMA max_page_count = 1000000")


async def gather(*calls: Any) -> Sequence[Any]:
    """Run coroutines at once; return their results in order."""
    results: list[Any] = [None] * len(calls)

    async def run(at: int, call: Any) -> None:
        results[at] = await call

    async with trio.open_nursery() as nursery:
        for at, call in enumerate(calls):
            nursery.start_soon(run, at, call)
    return results


@contextmanager
def rendered_logs() -> Iterator[list[str]]:
    """Collect log lines as they would be written, tracebacks included."""
    lines: list[str] = []

    def keep(logger: Any, method: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
        del logger
        lines.append(f"{method} {event}")
        raise structlog.DropEvent

    processors = structlog.get_config()["processors"]
    before = list(processors)
    processors[:] = [structlog.processors.format_exc_info, keep]
    try:
        yield lines
    finally:
        processors[:] = before
