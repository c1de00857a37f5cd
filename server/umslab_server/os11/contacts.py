# SPDX-License-Identifier: Apache-2.0
"""Who may come in on TCP 30001: a device that is registered as OS 11, or was until it was deleted, and proves its key.

"Unknown device" is told apart from every other refusal, as on the WebSocket (L5, L7). A deleted device is let in once
more, only to be told that it was deleted (L4). Whoever is refused again and again is slowed down, as one that guesses
first-authentication keys is (throttle.py).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from umslab_protocol.wire.os11 import ContactRefusal
from umslab_server import registry
from umslab_server.os11 import known
from umslab_server.store import StoreError

if TYPE_CHECKING:
    from collections.abc import Callable

    from umslab_protocol.machines.os11_server import Greeted
    from umslab_protocol.values.device_key import DeviceKey
    from umslab_protocol.values.unit_id import UnitId
    from umslab_runtime.clock import Clock
    from umslab_server.sessions import Admitted
    from umslab_server.store import Store, Writer
    from umslab_server.throttle import Throttle


@dataclass(frozen=True, slots=True)
class ContactRefused:
    """It may not come in: say this."""

    refusal: ContactRefusal
    message: str
    retry_after: float | None = None
    """Seconds."""


@dataclass(frozen=True, slots=True)
class Welcomed:
    """It may come in, because it holds this key."""

    admitted: Admitted
    key: DeviceKey


BUSY = ContactRefused(ContactRefusal.BUSY, "the registry is busy", 5.0)
BAD_PROOF = ContactRefused(ContactRefusal.BAD_PROOF, "this is not the key that was registered for this device")


class Contacts:
    """Decides about contacts."""

    def __init__(self, store: Store, throttle: Throttle, *, clock: Clock) -> None:
        self._store = store
        self._throttle = throttle
        self._clock = clock

    async def admit(
        self, greeted: Greeted, proves: Callable[[DeviceKey], bool], source: str
    ) -> Welcomed | ContactRefused:
        """Decide; `proves` tells whether the device holds a key, `source` is the address it came from."""
        unit_id, now = greeted.unit_id, self._clock.monotonic()
        wait = self._throttle.wait_before_trying(source, unit_id, now)
        if wait > 0:
            return ContactRefused(ContactRefusal.BUSY, "too many contacts that had to be refused", wait)
        quiet = self._throttle.is_slowed(source, now)
        try:
            verdict = await self._store.change(lambda writer: _judge(writer, greeted, proves, source, quiet=quiet))
        except StoreError:
            return BUSY
        if isinstance(verdict, ContactRefused):
            self._throttle.wrong(source, unit_id, now)
        else:
            self._throttle.right(source, unit_id)
        return verdict


def _judge(
    writer: Writer, greeted: Greeted, proves: Callable[[DeviceKey], bool], source: str, *, quiet: bool
) -> Welcomed | ContactRefused:
    unit_id = greeted.unit_id
    found = known.find(writer.connection, unit_id)
    if found is None or not proves(found.key):
        refused = _why_unknown(writer, unit_id) if found is None else BAD_PROOF
        if not quiet:
            writer.event("contact-refused", actor=source, unit_id=unit_id, cause=refused.message)
        return refused
    if found.registered:
        registry.update(writer, unit_id, last_contact=writer.stamp, last_ip=source, push_port=greeted.push_port)
        writer.event("device-contact", actor="device", unit_id=unit_id, address=source)
    return Welcomed(found.admitted(called=False), found.key)


def _why_unknown(writer: Writer, unit_id: UnitId) -> ContactRefused:
    """A device that has moved on is not unknown: it must not take that for its deletion."""
    row = registry.get(writer.connection, unit_id)
    if row is not None and row["registered_at"] is not None:
        message = "this device has moved to the Unified Protocol (O6): it connects to the web port now"
        return ContactRefused(ContactRefusal.REFUSED, message)
    message = f"no OS 11 device with unit ID {unit_id} is registered here"
    return ContactRefused(ContactRefusal.UNKNOWN_DEVICE, message)
