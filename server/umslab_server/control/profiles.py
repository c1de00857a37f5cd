# SPDX-License-Identifier: Apache-2.0
"""`ctl profiles`, `ctl apps`, `ctl files`, `ctl settings`: what devices are to have, and who gets it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from msgspec import Struct

from umslab_protocol.values.unit_id import parse_unit_id
from umslab_server.configuration.assignments import ObjectType
from umslab_server.configuration.profiles import ProfileKind
from umslab_server.configuration.reconcile import When
from umslab_server.control.dispatch import ACTOR, Command, NoArgs, Number

if TYPE_CHECKING:
    from umslab_server.configuration.apps import Apps
    from umslab_server.configuration.assignments import Assignments
    from umslab_server.configuration.files import Files
    from umslab_server.configuration.overview import Overview
    from umslab_server.configuration.profiles import Profiles
    from umslab_server.configuration.synchronise import Configuration


class _Which(Struct, forbid_unknown_fields=True):
    which: str


class _Delete(Struct, forbid_unknown_fields=True):
    which: str
    when: When = When.NOW


class _CreateProfile(Struct, forbid_unknown_fields=True):
    name: str
    kind: ProfileKind = ProfileKind.PROFILE
    settings: dict[str, str] = {}


class _RenameProfile(Struct, forbid_unknown_fields=True):
    which: str
    name: str


class _EditProfile(Struct, forbid_unknown_fields=True):
    which: str
    values: dict[str, str] = {}
    remove: list[str] = []
    when: When = When.NOW


class _CreateApp(Struct, forbid_unknown_fields=True):
    name: str
    version: str


class _AddFile(Struct, forbid_unknown_fields=True):
    path: str
    name: str | None = None


class _Assign(Struct, forbid_unknown_fields=True):
    type: ObjectType
    which: str
    receivers: list[str]
    position: Number | None = None
    when: When = When.NOW


class _Unassign(Struct, forbid_unknown_fields=True):
    type: ObjectType
    which: str
    receivers: list[str]
    when: When = When.NOW


class _Receiver(Struct, forbid_unknown_fields=True):
    receiver: str


class _Object(Struct, forbid_unknown_fields=True):
    type: ObjectType
    which: str


class _UnitId(Struct, forbid_unknown_fields=True):
    unit_id: str


class _UnitIds(Struct, forbid_unknown_fields=True):
    unit_ids: list[str]


class ProfileCommands:
    """The commands of these areas."""

    def __init__(
        self,
        *,
        profiles: Profiles,
        apps: Apps,
        files: Files,
        assignments: Assignments,
        overview: Overview,
        configuration: Configuration,
    ) -> None:
        self._profiles = profiles
        self._apps = apps
        self._files = files
        self._assignments = assignments
        self._overview = overview
        self._configuration = configuration

    def table(self) -> dict[str, Command]:
        """Name -> command."""
        return {
            "profiles.list": Command.plain(NoArgs, self._list_profiles),
            "profiles.show": Command.plain(_Which, self._show_profile),
            "profiles.create": Command.plain(_CreateProfile, self._create_profile),
            "profiles.rename": Command.plain(_RenameProfile, self._rename_profile),
            "profiles.edit": Command.plain(_EditProfile, self._edit_profile),
            "profiles.delete": Command.plain(_Delete, self._delete_profile),
            "apps.list": Command.plain(NoArgs, self._list_apps),
            "apps.create": Command.plain(_CreateApp, self._create_app),
            "apps.delete": Command.plain(_Delete, self._delete_app),
            "files.list": Command.plain(NoArgs, self._list_files),
            "files.add": Command.plain(_AddFile, self._add_file),
            "files.delete": Command.plain(_Delete, self._delete_file),
            "assignments.assign": Command.plain(_Assign, self._assign),
            "assignments.unassign": Command.plain(_Unassign, self._unassign),
            "assignments.of-receiver": Command.plain(_Receiver, self._of_receiver),
            "assignments.of-object": Command.plain(_Object, self._of_object),
            "settings.show": Command.plain(_UnitId, self._show_settings),
            "settings.send": Command.plain(_UnitIds, self._send_settings),
        }

    async def _list_profiles(self, args: NoArgs) -> Any:
        del args
        return await self._profiles.list_profiles()

    async def _show_profile(self, args: _Which) -> Any:
        return await self._profiles.show(args.which)

    async def _create_profile(self, args: _CreateProfile) -> Any:
        return {"id": await self._profiles.create(args.name, args.kind, args.settings, actor=ACTOR)}

    async def _rename_profile(self, args: _RenameProfile) -> Any:
        await self._profiles.rename(args.which, args.name, actor=ACTOR)

    async def _edit_profile(self, args: _EditProfile) -> Any:
        return await self._profiles.edit(args.which, args.values, args.remove, actor=ACTOR, when=args.when)

    async def _delete_profile(self, args: _Delete) -> Any:
        return await self._profiles.delete(args.which, actor=ACTOR, when=args.when)

    async def _list_apps(self, args: NoArgs) -> Any:
        del args
        return await self._apps.list_apps()

    async def _create_app(self, args: _CreateApp) -> Any:
        return {"id": await self._apps.create(args.name, args.version, actor=ACTOR)}

    async def _delete_app(self, args: _Delete) -> Any:
        return await self._apps.delete(args.which, actor=ACTOR, when=args.when)

    async def _list_files(self, args: NoArgs) -> Any:
        del args
        return await self._files.list_files()

    async def _add_file(self, args: _AddFile) -> Any:
        return {"id": await self._files.add(Path(args.path), args.name, actor=ACTOR)}

    async def _delete_file(self, args: _Delete) -> Any:
        return await self._files.delete(args.which, actor=ACTOR, when=args.when)

    async def _assign(self, args: _Assign) -> Any:
        return await self._assignments.assign(
            args.type, args.which, args.receivers, position=args.position, actor=ACTOR, when=args.when
        )

    async def _unassign(self, args: _Unassign) -> Any:
        return await self._assignments.unassign(args.type, args.which, args.receivers, actor=ACTOR, when=args.when)

    async def _of_receiver(self, args: _Receiver) -> Any:
        return await self._assignments.of_receiver(args.receiver)

    async def _of_object(self, args: _Object) -> Any:
        return await self._assignments.of_object(args.type, args.which)

    async def _show_settings(self, args: _UnitId) -> Any:
        return await self._overview.show(parse_unit_id(args.unit_id))

    async def _send_settings(self, args: _UnitIds) -> Any:
        unit_ids = [parse_unit_id(unit_id) for unit_id in args.unit_ids]
        return await self._configuration.release(unit_ids, actor=ACTOR)
