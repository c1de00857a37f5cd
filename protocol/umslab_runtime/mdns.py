# SPDX-License-Identifier: Apache-2.0
"""The bridge to `zeroconf`: multicast DNS on chosen interfaces, in a thread with an asyncio loop of its own.

Each announcement and each search has its thread, and ends it: nothing of asyncio is left when they are over. Every
socket is bound to its interface by the kernel before anything is said or answered, so that a search on loopback cannot
be heard on the network, and somebody on the network cannot make it answer. On which interfaces that may be, decides
`policy.check_multicast`. IPv4 only, as everywhere in discovery (D8). What peers send is bounded by zeroconf (9,000
bytes a packet, 10,000 records) and by `wire.mdns`; what zeroconf stumbles over is dropped.
"""

from __future__ import annotations

import asyncio
import errno
import secrets
import socket
from concurrent.futures import Future, InvalidStateError, ThreadPoolExecutor
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass
from ipaddress import IPv4Address
from typing import TYPE_CHECKING, Any, Generic, TypeVar

import ifaddr
import structlog
import trio
import zeroconf
from zeroconf import IPVersion, ServiceStateChange
from zeroconf.asyncio import AsyncServiceBrowser, AsyncServiceInfo, AsyncZeroconf

from umslab_protocol.machines.mdns_browse import Browsed, MdnsBrowse
from umslab_protocol.wire.mdns import SERVICE_TYPE, MdnsError, MdnsProblem, instance_of, read_service, write_txt
from umslab_runtime.namespaces import Whereabouts, whereabouts
from umslab_runtime.network import EVERYWHERE, AnnouncedAs, Announcement, ListenError
from umslab_runtime.policy import TargetRefusedError, check_multicast

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Coroutine, Mapping, Sequence

MDNS_PORT = 5353
RESOLVE_SECONDS = 3.0
"""For the records of one service."""
MAX_INTERFACES = 16

T = TypeVar("T")
log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Place:
    """An interface, and those of its addresses that count."""

    interface: str
    addresses: tuple[str, ...]


def own_addresses() -> dict[str, str]:
    """The IPv4 addresses of this machine, or of this network namespace, each with its interface."""
    found: dict[str, str] = {}
    for adapter in ifaddr.get_adapters():
        for ip in adapter.ips:
            if ip.is_IPv4:
                found[str(ip.ip)] = str(ip.nice_name).partition(":")[0]  # eth0:1 is a label, not an interface
    return found


def find_places(
    on: Sequence[str], *, user_named: bool, own: Mapping[str, str], where: Whereabouts
) -> tuple[Place, ...]:
    """Where to multicast: the interfaces of these addresses of ours; `EVERYWHERE` is all on which it is allowed.

    Raises `TargetRefusedError` for one on which it is not, and `ListenError` when none is left.
    """
    made = where is Whereabouts.MADE
    wanted: dict[str, list[str]] = {}
    for address in dict.fromkeys(on):
        if address == EVERYWHERE:
            for candidate, interface in own.items():
                with suppress(TargetRefusedError):
                    check_multicast(candidate, made=made, user_named=False)
                    wanted.setdefault(interface, []).append(candidate)
        elif ":" not in address:
            check_multicast(address, made=made, user_named=user_named)
            wanted.setdefault(_interface_of(address, own), []).append(address)
    if not 1 <= len(wanted) <= MAX_INTERFACES:
        raise ListenError(
            f"mDNS needs an IPv4 address on 1-{MAX_INTERFACES} interfaces to speak from; here it would be {len(wanted)}"
        )
    return tuple(Place(interface, tuple(dict.fromkeys(found))) for interface, found in wanted.items())


def _interface_of(address: str, own: Mapping[str, str]) -> str:
    """Every 127.x.y.z is an address of the loopback interface."""
    interface = own.get("127.0.0.1" if IPv4Address(address).is_loopback else address)
    if interface is None:
        raise ListenError(f"{address} is not an address of this machine, so nothing can be said from it by mDNS")
    return interface


def places_here(on: Sequence[str], *, user_named: bool) -> tuple[Place, ...]:
    """`find_places` on this machine."""
    if not hasattr(socket, "SO_BINDTODEVICE"):
        raise ListenError("mDNS is kept on its interface by a feature of Linux: use a name server, or name the UMS")
    return find_places(on, user_named=user_named, own=own_addresses(), where=whereabouts())


class _LoopThread(Generic[T]):
    """A thread with an asyncio loop in it, as long as one coroutine needs it; made, waited for and ended from Trio.

    The coroutine gets two things: what completes when it is to stop, and what to call when it has begun.
    """

    def __init__(self, work: Callable[[asyncio.Future[None], Callable[[], None]], Coroutine[Any, Any, T]]) -> None:
        token = trio.lowlevel.current_trio_token()
        self._stop: Future[None] = Future()
        self._begun, self._over = trio.Event(), trio.Event()

        async def main() -> T:
            asyncio.get_running_loop().set_exception_handler(_drop)
            stop = asyncio.wrap_future(self._stop)
            try:
                return await work(stop, lambda: token.run_sync_soon(self._begun.set))
            finally:
                stop.cancel()  # or a later `stop` would call a loop that is closed

        def finish(_: Future[T]) -> None:
            token.run_sync_soon(self._begun.set)
            token.run_sync_soon(self._over.set)

        self._thread = ThreadPoolExecutor(1, "umslab mdns")
        self._running = self._thread.submit(lambda: asyncio.run(main()))
        self._running.add_done_callback(finish)

    async def begun(self) -> None:
        """Wait until the coroutine has begun; raises `ListenError` when it could not."""
        await self._begun.wait()
        if self._running.done():
            await self.result()

    async def result(self) -> T:
        """Wait for what the coroutine returns; raises `ListenError`."""
        await self._over.wait()
        try:
            return self._running.result()
        except (OSError, zeroconf.Error) as error:
            raise ListenError(_explain(error)) from error

    def stop(self) -> None:
        """Let it end; may be called at any time, from Trio's thread."""
        with suppress(InvalidStateError):
            self._stop.set_result(None)

    async def end(self) -> None:
        """Let it end, and wait until it has."""
        self.stop()
        with trio.CancelScope(shield=True):
            await self._over.wait()
        self._thread.shutdown()  # nothing is left to wait for


def _drop(loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
    """What zeroconf stumbles over in a packet ends nothing and frightens nobody."""
    del loop
    log.debug("dropped by mDNS", error=repr(context.get("exception") or context.get("message"))[:200])


def _explain(error: Exception) -> str:
    match getattr(error, "errno", None):
        case errno.EADDRINUSE:
            return f"UDP port {MDNS_PORT} is in use by a program that does not share it, so mDNS cannot listen"
        case errno.EPERM:
            return "mDNS cannot be kept on its interface: that needs Linux 5.7, or root"
    return f"mDNS does not work here: {getattr(error, 'strerror', None) or str(error) or type(error).__name__}"


@asynccontextmanager
async def _station(place: Place) -> AsyncIterator[AsyncZeroconf]:
    """Speak and listen on one interface; leaving takes back what was announced."""
    station = AsyncZeroconf(interfaces=[place.addresses[0]], ip_version=IPVersion.V4Only)
    try:
        engine = station.zeroconf.engine
        await station.zeroconf.async_wait_for_start()
        # Nothing was said yet, and nothing is answered as long as nothing is announced.
        for reader in engine.readers:
            reader.sock.setsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, place.interface.encode())
        if not engine.senders:
            raise ListenError(f"the interface {place.interface} does not multicast")
        yield station
    finally:
        await station.async_close()


@asynccontextmanager
async def announce(name: str, port: int, places: Sequence[Place]) -> AsyncIterator[Announcement]:
    """Announce a UMS as long as the block lasts; see `Network.announce`."""
    said: list[AnnouncedAs] = []

    async def work(stop: asyncio.Future[None], begun: Callable[[], None]) -> None:
        host = f"umslab-{secrets.token_hex(4)}.local."  # its own name: the machine's belongs to the machine
        async with AsyncExitStack() as stack:
            stations = [(await stack.enter_async_context(_station(place)), place) for place in places]
            begun()
            saying = [
                asyncio.create_task(_say(one, place, _service(place, name, port, host), said))
                for one, place in stations
            ]
            await stop
            for task in saying:
                task.cancel()

    thread = _LoopThread(work)
    try:
        await thread.begun()
        yield _Announced(thread, said)
        thread.stop()
        await thread.result()
    finally:
        await thread.end()


class _Announced(Announcement):
    def __init__(self, thread: _LoopThread[None], said: list[AnnouncedAs]) -> None:
        """The thread adds to what it has said."""
        self._thread = thread
        self._said = said

    def stands(self) -> list[AnnouncedAs]:
        """Where it is announced by now."""
        return list(self._said)

    def withdraw(self) -> None:
        """Say goodbye now."""
        self._thread.stop()


def _service(place: Place, name: str, port: int, host: str) -> AsyncServiceInfo:
    return AsyncServiceInfo(
        SERVICE_TYPE,
        f"{name}.{SERVICE_TYPE}",
        port=port,
        server=host,
        parsed_addresses=list(place.addresses),
        properties=write_txt(),
    )


async def _say(station: AsyncZeroconf, place: Place, info: AsyncServiceInfo, said: list[AnnouncedAs]) -> None:
    """Announce on one interface; when the name is taken there, under another one."""
    try:
        await (await station.async_register_service(info, allow_name_change=True))
    except (OSError, zeroconf.Error) as error:
        log.warning("not announced by mDNS", interface=place.interface, reason=_explain(error))
    else:
        said.append(AnnouncedAs(info.name.removesuffix(f".{SERVICE_TYPE}"), place.interface, place.addresses))
        log.info("announced by mDNS", name=info.name, interface=place.interface, addresses=", ".join(place.addresses))


async def browse(places: Sequence[Place], *, patience: float, settle: float) -> Browsed:
    """Search for a UMS; see `Network.browse`."""

    async def work(stop: asyncio.Future[None], begun: Callable[[], None]) -> Browsed:
        del begun
        loop = asyncio.get_running_loop()
        search = _Search(MdnsBrowse(loop.time(), patience=patience, settle=settle))
        stop.add_done_callback(lambda _: search.moved.set())
        async with AsyncExitStack() as stack:
            for place in places:
                await stack.enter_async_context(search.on(await stack.enter_async_context(_station(place))))
            while not stop.done() and (left := search.browse.deadline() - loop.time()) > 0:
                search.moved.clear()
                with suppress(TimeoutError):
                    await asyncio.wait_for(search.moved.wait(), left)
        return search.browse.result()

    thread = _LoopThread(work)
    try:
        return await thread.result()
    finally:
        await thread.end()


class _Search:
    """What zeroconf tells, brought to `MdnsBrowse`."""

    def __init__(self, browse: MdnsBrowse) -> None:
        self.browse = browse
        self.moved = asyncio.Event()
        """Set when the deadline may have changed."""
        self._asking: dict[tuple[zeroconf.Zeroconf, str], asyncio.Task[None]] = {}

    @asynccontextmanager
    async def on(self, station: AsyncZeroconf) -> AsyncIterator[None]:
        """Search on one interface as long as the block lasts."""
        browser = AsyncServiceBrowser(station.zeroconf, [SERVICE_TYPE], handlers=[self._changed])
        try:
            yield
        finally:
            await browser.async_cancel()
            for task in self._asking.values():
                task.cancel()

    def _changed(
        self, zeroconf: zeroconf.Zeroconf, service_type: str, name: str, state_change: ServiceStateChange
    ) -> None:
        """See zeroconf's `ServiceBrowser`, which gives its arguments by these names."""
        del service_type
        if state_change is ServiceStateChange.Removed:
            with suppress(MdnsError):
                self.browse.gone(instance_of(name))
        elif (zeroconf, name) not in self._asking and self.browse.appeared(name):
            task = self._asking[zeroconf, name] = asyncio.create_task(self._ask(zeroconf, name))
            task.add_done_callback(lambda _: self._asking.pop((zeroconf, name)))

    async def _ask(self, station: zeroconf.Zeroconf, name: str) -> None:
        """Ask for the records of a service."""
        try:
            info = AsyncServiceInfo(SERVICE_TYPE, name)
            complete = await info.async_request(station, RESOLVE_SECONDS * 1000)
            addresses = info.parsed_addresses(IPVersion.V4Only) if complete else ()
            service = read_service(
                name, port=info.port, addresses=addresses, txt=info.text or b"", priority=info.priority
            )
        except MdnsError as error:
            self.browse.ignore(error.problem)
        except (zeroconf.Error, ValueError):
            self.browse.ignore(MdnsProblem.MALFORMED)
        else:
            self.browse.found(service, asyncio.get_running_loop().time())
            self.moved.set()
