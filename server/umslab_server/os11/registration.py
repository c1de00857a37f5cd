# SPDX-License-Identifier: Apache-2.0
"""Registration on TCP 30001: from what a device says about itself to a row of the registry, once and durably.

A device is taken in when one of these holds, looked at in this order:

- It names a UMS user with the right password (A9); only then its wishes for name and directory count.
- It has the token of automatic registration (A6, automatic.py), good for one key.
- It is registered with the very key that it names: its answer was lost. A token may be out of date then.
- It was imported and has never registered (K8), or automatic registration is on (A1, A2).

A device in the recycle bin is refused (RB4). With `known_device = "refuse"` so is one that is registered with another
key. Where it goes beyond that, the naming convention and the directory rules say, as for OS 12.
"""

from __future__ import annotations

import hashlib
import hmac
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING

from umslab_certs.chain import to_pem
from umslab_certs.device_communication import read_pin
from umslab_certs.errors import CertificateError
from umslab_protocol.errors import InvalidValueError
from umslab_protocol.values.structure_tag import parse_structure_tag
from umslab_protocol.wire.os11 import ContactRefusal
from umslab_server import registry
from umslab_server.automatic import KNOWN, OFF
from umslab_server.configuration.tree import resolve
from umslab_server.enrolment import IN_BIN, KnownDevice
from umslab_server.errors import RefusedError
from umslab_server.os11 import known
from umslab_server.os11.contacts import BUSY, ContactRefused
from umslab_server.registering import become_os11, register
from umslab_server.store import StoreError
from umslab_server.tables import OS11

if TYPE_CHECKING:
    from sqlalchemy import RowMapping

    from umslab_protocol.machines.os11_server import RegistrationAsked
    from umslab_runtime.clock import Clock
    from umslab_server.accounts import Accounts
    from umslab_server.automatic import Automatic
    from umslab_server.configuration.naming import Naming
    from umslab_server.reach import Reach
    from umslab_server.sessions import Admitted
    from umslab_server.store import Store, Writer
    from umslab_server.throttle import Throttle

WRONG_USER = ContactRefused(ContactRefusal.CREDENTIALS, "this user and password do not let a device register (A9)")
WRONG_TOKEN = ContactRefused(ContactRefusal.CREDENTIALS, "this registration token is not valid (any more)")
_BIN = ContactRefused(ContactRefusal.REFUSED, IN_BIN.message)
_OFF = ContactRefused(ContactRefusal.REFUSED, f"{OFF.message}; or register it with a UMS user (A9)")
_KNOWN = ContactRefused(ContactRefusal.REFUSED, f"{KNOWN.message}; or register it with a UMS user (A9)")
_REGISTERED = ContactRefused(ContactRefusal.REFUSED, "a device with this unit ID is registered already")


@dataclass(frozen=True, slots=True)
class Taken:
    """It is registered, durably, under this name."""

    admitted: Admitted
    name: str


@dataclass(frozen=True, slots=True)
class _Wish:
    """A device's request, as far as it could be read."""

    asked: RegistrationAsked
    certificate: str
    structure_tag: str
    source: str
    by_user: bool = False
    by_token: bool | None = None
    """None: without one."""


class Registration:
    """Registers OS 11 devices."""

    def __init__(
        self,
        store: Store,
        reach: Reach,
        throttle: Throttle,
        *,
        accounts: Accounts,
        automatic: Automatic,
        naming: Naming,
        known_device: KnownDevice,
        clock: Clock,
    ) -> None:
        self._store = store
        self._reach = reach
        self._throttle = throttle
        self._accounts = accounts
        self._automatic = automatic
        self._naming = naming
        self._known_device = known_device
        self._clock = clock

    async def register(self, asked: RegistrationAsked, source: str) -> Taken | ContactRefused:
        """Decide, and keep the device when it is taken; `source` is the address it came from."""
        unit_id, now = asked.unit_id, self._clock.monotonic()
        wait = self._throttle.wait_before_trying(source, unit_id, now)
        if wait > 0:
            return _slow_down(wait)
        quiet = self._throttle.is_slowed(source, now)
        with self._throttle.trying(source, unit_id):
            try:
                verdict = await self._decide(asked, source)
                if isinstance(verdict, ContactRefused) and not quiet:
                    await self._store.change(partial(_note_refused, asked, source, verdict))
            except StoreError:
                return BUSY
        if isinstance(verdict, ContactRefused):
            wait = self._throttle.wrong(source, unit_id, self._clock.monotonic())
            return _slow_down(wait) if wait > 0 else verdict
        self._throttle.right(source, unit_id)
        self._reach.note_os11([unit_id])
        return verdict

    async def _decide(self, asked: RegistrationAsked, source: str) -> Taken | ContactRefused:
        said = asked.register
        try:
            certificate = to_pem([read_pin(said.certificate)]).decode("ascii")
            wish = _Wish(asked, certificate, parse_structure_tag(said.structureTag), source)
        except CertificateError as error:
            return ContactRefused(ContactRefusal.REFUSED, f"the device's own certificate: {error}")
        except InvalidValueError as error:
            return ContactRefused(ContactRefusal.REFUSED, str(error))
        checked = await self._check_credentials(wish)
        if isinstance(checked, ContactRefused):
            return checked
        try:
            taken, moved = await self._store.change(lambda writer: self._take(writer, checked))
        except RefusedError as error:  # the directory that a user has named is not there
            return ContactRefused(ContactRefusal.REFUSED, str(error))
        if moved:
            self._reach.refuse(asked.unit_id, "this device registered as OS 11")
        return taken

    async def _check_credentials(self, wish: _Wish) -> _Wish | ContactRefused:
        said = wish.asked.register
        if said.user or said.password:
            by_user = await self._accounts.verify(said.user, said.password)
            return replace(wish, by_user=True) if by_user else WRONG_USER
        if said.token:
            bearer = hashlib.sha256(wish.asked.key.text.encode()).hexdigest()
            return replace(wish, by_token=self._automatic.take(wish.asked.unit_id, said.token, wish.source, bearer))
        return wish

    def _take(self, writer: Writer, wish: _Wish) -> tuple[Taken | ContactRefused, bool]:
        """Register it; tells too whether it was an OS 12 device until now."""
        asked = wish.asked
        device = registry.get(writer.connection, asked.unit_id)
        if (refused := self._why_not(device, wish)) is not None:
            return refused, False
        moved = become_os11(writer, asked.unit_id, device, actor=wish.source)
        register(writer, asked.unit_id, device, self._naming, actor=wish.source)
        self._keep(writer, wish)
        name = registry.find(writer.connection, asked.unit_id)["name"]
        found = known.find(writer.connection, asked.unit_id)
        assert found is not None  # noqa: S101 - it was written just now
        return Taken(found.admitted(called=False), name), moved

    def _why_not(self, device: RowMapping | None, wish: _Wish) -> ContactRefused | None:
        if device is not None and device["binned_at"] is not None:
            return _BIN
        registered = device is not None and device["registered_at"] is not None
        if device is not None and hmac.compare_digest(device["device_key"], wish.asked.key.text):
            return None
        if wish.by_token is False:
            return WRONG_TOKEN
        if registered and self._known_device is KnownDevice.REFUSE:
            return _REGISTERED
        if wish.by_user or wish.by_token or self._automatic.enabled:
            return None
        if device is None:
            return _OFF
        return _KNOWN if registered else None

    @staticmethod
    def _keep(writer: Writer, wish: _Wish) -> None:
        asked, said = wish.asked, wish.asked.register
        values: dict[str, str | int] = {
            "generation": OS11,
            "mac": asked.mac,
            "device_key": asked.key.text,
            "device_certificate": wish.certificate,
            "push_port": said.pushPort,
            "firmware": said.hello.firmwareVersion,
            "structure_tag": wish.structure_tag,
            "last_ip": wish.source,
            "last_contact": writer.stamp,
        }
        if wish.by_user and said.name:
            values["name"] = said.name
        if wish.by_user and said.directory:
            values["directory_id"] = resolve(writer.connection, said.directory)
        registry.update(writer, asked.unit_id, **values)
        how = "user" if wish.by_user else "token" if wish.by_token else "automatic or imported"
        user = said.user if wish.by_user else None
        writer.event("os11-registered", actor=wish.source, unit_id=asked.unit_id, how=how, user=user)


def _note_refused(asked: RegistrationAsked, source: str, refused: ContactRefused, writer: Writer) -> None:
    writer.event("registration-refused", actor=source, unit_id=asked.unit_id, cause=refused.message)


def _slow_down(wait: float) -> ContactRefused:
    return ContactRefused(ContactRefusal.BUSY, "too many registrations that had to be refused", wait)
