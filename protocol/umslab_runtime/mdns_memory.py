# SPDX-License-Identifier: Apache-2.0
"""mDNS without sockets: what is announced on a memory network is heard by every host that is connected, at once."""

from __future__ import annotations

from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

import trio

from umslab_protocol.machines.mdns_browse import Browsed, MdnsBrowse
from umslab_protocol.wire.mdns import SERVICE_TYPE, UmsService
from umslab_runtime.network import AnnouncedAs, Announcement

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable


class Announcements:
    """All services that are announced on one memory network."""

    def __init__(self, connected: Callable[[str, str], bool]) -> None:
        self._connected = connected
        self._said: dict[MemoryAnnouncement, tuple[str, UmsService]] = {}
        self._moved = trio.Event()

    @asynccontextmanager
    async def announce(self, host: str, name: str, port: int) -> AsyncIterator[MemoryAnnouncement]:
        """Announce a service of this host as long as the block lasts."""
        await trio.lowlevel.checkpoint()
        announcement = MemoryAnnouncement(self)
        self._said[announcement] = host, UmsService(name=name, port=port, addresses=(host,))
        self._move()
        try:
            yield announcement
        finally:
            announcement.withdraw()

    def of(self, announcement: MemoryAnnouncement) -> list[AnnouncedAs]:
        """What one announcement says."""
        said = self._said.get(announcement)
        return [] if said is None else [AnnouncedAs(said[1].name, "", said[1].addresses)]

    def forget(self, announcement: MemoryAnnouncement) -> None:
        """Take a service back."""
        if self._said.pop(announcement, None) is not None:
            self._move()

    async def browse(self, host: str, *, patience: float, settle: float) -> Browsed:
        """Search from this host."""
        browse = MdnsBrowse(trio.current_time(), patience=patience, settle=settle)
        heard: dict[MemoryAnnouncement, UmsService] = {}
        while True:
            now = {key: one for key, (there, one) in self._said.items() if self._connected(host, there)}
            for key, service in heard.items():
                if key not in now:
                    browse.gone(service.name)
            for key, service in now.items():
                if key not in heard and browse.appeared(f"{service.name}.{SERVICE_TYPE}"):
                    browse.found(service, trio.current_time())
            heard = now
            with trio.move_on_at(browse.deadline()) as scope:
                await self._moved.wait()
            if scope.cancelled_caught:
                return browse.result()

    def _move(self) -> None:
        self._moved.set()
        self._moved = trio.Event()


class MemoryAnnouncement(Announcement):
    """One service of a memory host."""

    def __init__(self, announcements: Announcements) -> None:
        self._announcements = announcements

    def stands(self) -> list[AnnouncedAs]:
        """At the name of the host."""
        return self._announcements.of(self)

    def withdraw(self) -> None:
        """Take it back now."""
        self._announcements.forget(self)
