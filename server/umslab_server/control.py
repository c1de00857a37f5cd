# SPDX-License-Identifier: Apache-2.0
"""What `umslab ctl` can ask of a running server: a table of commands with typed arguments."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any

import msgspec
from msgspec import Meta, Struct

from umslab_certs.errors import CertificateError
from umslab_protocol.errors import InvalidValueError
from umslab_protocol.values.auth_key import KeyKind, parse_auth_key
from umslab_protocol.values.unit_id import UnitId, parse_unit_id
from umslab_runtime.control import ControlError
from umslab_server.backup import BackupError
from umslab_server.importing import ImportRefusedError, read_csv
from umslab_server.keys import KeyProblemError
from umslab_server.registry import RegistryError
from umslab_server.store import StoreError

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from umslab_server.certificates import Certificates
    from umslab_server.keys import Keys
    from umslab_server.registry import Registry
    from umslab_server.store import Store

ACTOR = "ctl"
_REFUSALS = (
    KeyProblemError, RegistryError, ImportRefusedError, InvalidValueError, StoreError, CertificateError,
    BackupError, OSError,
)  # fmt: skip


_Number = Annotated[int, Meta(ge=0, le=2**53)]


class _NoArgs(Struct, forbid_unknown_fields=True):
    pass


class _KeyNumber(Struct, forbid_unknown_fields=True):
    id: _Number


class _ListKeys(Struct, forbid_unknown_fields=True):
    secrets: bool = False


class _CreateKeys(Struct, forbid_unknown_fields=True):
    kind: KeyKind
    count: int = 1
    chosen: str | None = None
    bound_to: list[str] = []
    label: str = ""


class _EnableKey(Struct, forbid_unknown_fields=True):
    id: _Number
    enabled: bool


class _UnitIds(Struct, forbid_unknown_fields=True):
    unit_ids: list[str]


class _OneUnitId(Struct, forbid_unknown_fields=True):
    unit_id: str


class _Revoke(Struct, forbid_unknown_fields=True):
    unit_id: str
    reason: str = "revoked by the administrator"


class _Edit(Struct, forbid_unknown_fields=True):
    unit_id: str
    values: dict[str, str]


class _ListDevices(Struct, forbid_unknown_fields=True):
    in_bin: bool | None = None


class _ImportDevices(Struct, forbid_unknown_fields=True):
    csv: str


class _Events(Struct, forbid_unknown_fields=True):
    after: _Number | None = None
    limit: _Number = 100
    unit_id: str | None = None
    follow: bool = False


class _Backup(Struct, forbid_unknown_fields=True):
    path: str


@dataclass(frozen=True, slots=True)
class _Command:
    args: type[Struct]
    run: Callable[[Any, Callable[[Any], Awaitable[None]]], Awaitable[Any]]


class Control:
    """Dispatches requests to the services."""

    def __init__(
        self,
        *,
        keys: Keys,
        registry: Registry,
        store: Store,
        certificates: Certificates,
        status: Callable[[], Awaitable[dict[str, Any]]],
        backup: Callable[[str], Awaitable[dict[str, Any]]],
    ) -> None:
        self._keys = keys
        self._registry = registry
        self._store = store
        self._certificates = certificates
        self._status = status
        self._backup = backup
        self._commands = {
            "status": _Command(_NoArgs, self._get_status),
            "keys.create": _Command(_CreateKeys, self._create_keys),
            "keys.list": _Command(_ListKeys, self._list_keys),
            "keys.show": _Command(_KeyNumber, self._show_key),
            "keys.enable": _Command(_EnableKey, self._enable_key),
            "keys.delete": _Command(_KeyNumber, self._delete_key),
            "devices.list": _Command(_ListDevices, self._list_devices),
            "devices.show": _Command(_OneUnitId, self._show_device),
            "devices.edit": _Command(_Edit, self._edit_device),
            "devices.delete": _Command(_UnitIds, self._delete_devices),
            "devices.restore": _Command(_UnitIds, self._restore_devices),
            "devices.purge": _Command(_UnitIds, self._purge_devices),
            "devices.revoke": _Command(_Revoke, self._revoke_device),
            "devices.import": _Command(_ImportDevices, self._import_devices),
            "certs.show": _Command(_NoArgs, self._show_certificates),
            "certs.renew": _Command(_NoArgs, self._renew_certificate),
            "events": _Command(_Events, self._events),
            "backup": _Command(_Backup, self._make_backup),
        }

    async def handle(self, name: str, args: dict[str, Any], emit: Callable[[Any], Awaitable[None]]) -> Any:
        """Run one command; see `umslab_runtime.control.ControlServer`."""
        command = self._commands.get(name)
        if command is None:
            raise ControlError(f"there is no command {name[:60]!r}", "unknown-command")
        try:
            return await command.run(msgspec.convert(args, command.args), emit)
        except msgspec.ValidationError as error:
            raise ControlError(f"{name}: {error}", "invalid") from None
        except _REFUSALS as error:
            raise ControlError(str(error)) from None

    async def _get_status(self, args: _NoArgs, emit: object) -> Any:
        del args, emit
        return await self._status()

    async def _create_keys(self, args: _CreateKeys, emit: object) -> Any:
        del emit
        return await self._keys.create(
            args.kind,
            count=args.count,
            chosen=None if args.chosen is None else parse_auth_key(args.chosen),
            bound_to=[parse_unit_id(unit_id) for unit_id in args.bound_to],
            label=args.label,
            actor=ACTOR,
        )

    async def _list_keys(self, args: _ListKeys, emit: object) -> Any:
        del emit
        return await self._keys.list_keys(with_secrets=args.secrets)

    async def _show_key(self, args: _KeyNumber, emit: object) -> Any:
        del emit
        return await self._keys.show(args.id)

    async def _enable_key(self, args: _EnableKey, emit: object) -> Any:
        del emit
        return await self._keys.enable(args.id, enabled=args.enabled, actor=ACTOR)

    async def _delete_key(self, args: _KeyNumber, emit: object) -> Any:
        del emit
        await self._keys.delete(args.id, actor=ACTOR)

    async def _list_devices(self, args: _ListDevices, emit: object) -> Any:
        del emit
        return await self._registry.list_devices(in_bin=args.in_bin)

    async def _show_device(self, args: _OneUnitId, emit: object) -> Any:
        del emit
        return await self._registry.show(parse_unit_id(args.unit_id))

    async def _edit_device(self, args: _Edit, emit: object) -> Any:
        del emit
        await self._registry.edit(parse_unit_id(args.unit_id), args.values, actor=ACTOR)

    async def _delete_devices(self, args: _UnitIds, emit: object) -> Any:
        del emit
        return {unit_id: await self._registry.delete(unit_id, actor=ACTOR) for unit_id in _unit_ids(args)}

    async def _restore_devices(self, args: _UnitIds, emit: object) -> Any:
        del emit
        for unit_id in _unit_ids(args):
            await self._registry.restore(unit_id, actor=ACTOR)

    async def _purge_devices(self, args: _UnitIds, emit: object) -> Any:
        del emit
        for unit_id in _unit_ids(args):
            await self._registry.purge(unit_id, actor=ACTOR)

    async def _revoke_device(self, args: _Revoke, emit: object) -> Any:
        del emit
        return await self._registry.revoke(parse_unit_id(args.unit_id), actor=ACTOR, reason=args.reason)

    async def _import_devices(self, args: _ImportDevices, emit: object) -> Any:
        del emit
        added, existing = await self._registry.import_devices(read_csv(args.csv.encode()), actor=ACTOR)
        return {"added": added, "existing": existing}

    async def _show_certificates(self, args: _NoArgs, emit: object) -> Any:
        del args, emit
        return self._certificates.describe()

    async def _renew_certificate(self, args: _NoArgs, emit: object) -> Any:
        del args, emit
        await self._certificates.renew(actor=ACTOR)
        return self._certificates.describe()

    async def _events(self, args: _Events, emit: Callable[[Any], Awaitable[None]]) -> Any:
        after = max(0, self._store.feed.value - args.limit) if args.after is None else args.after
        while True:
            newest = self._store.feed.value  # read before the query, so that nothing committed meanwhile is skipped
            batch = await self._store.events(after, unit_id=args.unit_id)
            for event in batch:
                await emit(event)
            if batch:
                after = batch[-1].id
            elif not args.follow:
                return {"last": after}
            else:
                after = max(after, newest)
                await self._store.feed.beyond(after)

    async def _make_backup(self, args: _Backup, emit: object) -> Any:
        del emit
        return await self._backup(args.path)


def _unit_ids(args: _UnitIds) -> list[UnitId]:
    return [parse_unit_id(unit_id) for unit_id in args.unit_ids]
