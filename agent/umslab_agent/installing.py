# SPDX-License-Identifier: Apache-2.0
"""Makes a device what its settings document says: files first, then settings, then apps (facts W23, W24).

Provenance: the order is documented, and that what was pushed is kept and installed later when it must be; how long an
app takes and whether it fails comes from the behaviour and a seed. A document is durable before anything of it begins,
and an installation that was cut off begins again at the next boot.
"""

from __future__ import annotations

import random
from typing import TYPE_CHECKING

import msgspec

from umslab_agent.errors import DeviceFolderError
from umslab_agent.fetching import FileProblemError, fetch, is_there
from umslab_agent.happenings import Kind
from umslab_agent.kept import Installed, SettingsDocument
from umslab_agent.reports import Topic
from umslab_protocol.wire.inventory import AppState, FileState, InstallState
from umslab_runtime.mailbox import Reply

if TYPE_CHECKING:
    from collections.abc import Callable

    from umslab_agent.unit import Unit
    from umslab_protocol.wire.orders import AppOrder, FileOrder

JOB = "install"
_TROUBLES = (
    "the package could not be unpacked (simulated)",
    "there is not enough space on the app partition (simulated)",
    "the signature of the package was not accepted (simulated)",
)


class Installer:
    """Works on one device's document, in a job of its own while there is something to do."""

    __slots__ = ("_changed", "_in_effect", "_state", "_taken", "_unfinished", "_unit", "_waiting")

    def __init__(self, unit: Unit, *, changed: Callable[[Topic], None], in_effect: Callable[[], None]) -> None:
        """`changed` is called when apps or files have a new state, `in_effect` when settings have come into effect."""
        self._unit = unit
        self._changed = changed
        self._in_effect = in_effect
        self._unfinished = False
        self._taken = 0  # documents, so that the end of work on one is not taken for that of a newer one
        self._waiting: list[Reply[None]] = []
        self._state = Installed()  # only while the job runs

    def begin_boot(self, document: SettingsDocument, installed: Installed) -> None:
        """The device has booted: look whether something is still to be done."""
        states = [entry.state for entry in installed.files] + [entry.state for entry in installed.apps]
        same = (document.version, document.digest) == (installed.version, installed.digest)
        self._unfinished = not same or any(state is not InstallState.INSTALLED for state in states)

    async def take(self, document: SettingsDocument) -> None:
        """Keep a new document, durably. Raises `OSError`; then the old one is still there."""
        unit = self._unit
        await unit.world.executor.run(lambda: unit.folder.settings.save(document))
        self._taken += 1
        self._unfinished = True

    async def begin(self) -> None:
        """Work on a document that was just taken; work on an older one ends."""
        if self._unfinished:
            await self._unit.jobs.stop(JOB)
            self.go_on()

    def go_on(self) -> None:
        """Work on the present document, if there is something to do and nobody does it."""
        if self._unfinished:
            self._unit.jobs.start(JOB, self._work)

    async def until_in_effect(self) -> int | None:
        """Wait until the newest document's settings are in effect; return its version, None when they could not be.

        Raises `DeviceFolderError` when what is kept is damaged.
        """
        if not self._is_in_effect():
            reply: Reply[None] = Reply()
            self._waiting.append(reply)
            await reply.get()
        return self._unit.folder.settings.load().version if self._is_in_effect() else None

    def _is_in_effect(self) -> bool:
        installed, document = self._unit.folder.installed.load(), self._unit.folder.settings.load()
        return (installed.version, installed.digest) == (document.version, document.digest)

    async def _work(self) -> None:
        number = self._taken
        try:
            document = self._unit.folder.settings.load()
            self._state = self._unit.folder.installed.load()
            await self._get_files(document)
            await self._put_in_effect(document)
            await self._install_apps(document)
            self._unfinished = self._taken != number
        except (DeviceFolderError, OSError) as error:
            self._unit.tell(Kind.SETTINGS, f"settings could not be put in effect: {error}")
            self._answer_waiting()
        finally:
            self._state = Installed()

    async def _keep(self, topic: Topic | None = None, **changes: object) -> None:
        self._state = state = msgspec.structs.replace(self._state, **changes)
        await self._unit.world.executor.run(lambda: self._unit.folder.installed.save(state))
        if topic is not None:
            self._changed(topic)

    # Files.

    async def _get_files(self, document: SettingsDocument) -> None:
        unit, before = self._unit, self._state.files
        wanted = {order.name for order in document.files}
        ready = {(entry.name, entry.sha256) for entry in before if entry.state is InstallState.INSTALLED}
        states = [_file_state(order, ready, there=is_there(unit, order)) for order in document.files]
        if states != before:
            await self._keep(Topic.FILES, files=states)
        for entry in before:
            if entry.name not in wanted:
                unit.folder.remove_file(entry.name)
                unit.tell(Kind.FILE, f"file {entry.name} removed", name=entry.name, state="removed")
        for order in document.files:
            if _state_of(self._state.files, order.name) is InstallState.PENDING:
                await self._get_file(order)

    async def _get_file(self, order: FileOrder) -> None:
        await self._file(order, InstallState.INSTALLING)
        try:
            await fetch(self._unit, order)
        except FileProblemError as problem:
            await self._file(order, InstallState.FAILED, str(problem))
        else:
            await self._file(order, InstallState.INSTALLED)

    async def _file(self, order: FileOrder, state: InstallState, message: str = "") -> None:
        entry = FileState(name=order.name, sha256=order.sha256, state=state, message=message)
        files = [entry if known.name == order.name else known for known in self._state.files]
        await self._keep(Topic.FILES, files=files)
        self._tell(Kind.FILE, f"file {order.name}", order.name, state, message)

    # Settings.

    async def _put_in_effect(self, document: SettingsDocument) -> None:
        same = (document.version, document.digest) == (self._state.version, self._state.digest)
        if not same:
            await self._keep(version=document.version, digest=document.digest, settings=document.settings)
            self._unit.put_in_effect(document.settings)
            count = len(document.settings)
            text = f"settings version {document.version} applied: {count} parameter{'' if count == 1 else 's'}"
            self._unit.tell(Kind.SETTINGS, text, settings_version=document.version, parameters=count)
            self._in_effect()
        self._answer_waiting()

    def _answer_waiting(self) -> None:
        waiting, self._waiting = self._waiting, []
        for reply in waiting:
            reply.put(None)

    # Apps.

    async def _install_apps(self, document: SettingsDocument) -> None:
        before = self._state.apps
        ready = {(entry.name, entry.version) for entry in before if entry.state is InstallState.INSTALLED}
        states = [_app_state(order, ready) for order in document.apps]
        if states != before:
            await self._keep(Topic.APPS, apps=states)
        for entry in before:
            if entry.name not in {order.name for order in document.apps}:
                self._unit.tell(Kind.APP, f"app {entry.name} removed", name=entry.name, state="removed")
        for order in document.apps:
            if _state_of(self._state.apps, order.name) is InstallState.PENDING:
                await self._install_app(order)

    async def _install_app(self, order: AppOrder) -> None:
        unit = self._unit
        chance = random.Random(f"umslab app {unit.seed} {unit.boot} {order.name} {order.version}")  # noqa: S311
        await self._app(order, InstallState.INSTALLING)
        await unit.world.clock.sleep(unit.behaviour.app_install_seconds * chance.uniform(0.5, 1.5))
        if chance.random() < unit.behaviour.app_failure:
            await self._app(order, InstallState.FAILED, chance.choice(_TROUBLES))
        else:
            await self._app(order, InstallState.INSTALLED)

    async def _app(self, order: AppOrder, state: InstallState, message: str = "") -> None:
        entry = AppState(name=order.name, version=order.version, state=state, message=message)
        apps = [entry if known.name == order.name else known for known in self._state.apps]
        await self._keep(Topic.APPS, apps=apps)
        self._tell(Kind.APP, f"app {order.name} {order.version}", order.name, state, message)

    def _tell(self, kind: Kind, what: str, name: str, state: InstallState, message: str) -> None:
        text = f"{what} {state}" + (f": {message}" if message else "")
        self._unit.tell(kind, text, name=name, state=str(state), message=message)


def _file_state(order: FileOrder, ready: set[tuple[str, str]], *, there: bool) -> FileState:
    done = there and (order.name, order.sha256) in ready
    state = InstallState.INSTALLED if done else InstallState.PENDING
    return FileState(name=order.name, sha256=order.sha256, state=state)


def _app_state(order: AppOrder, ready: set[tuple[str, str]]) -> AppState:
    done = (order.name, order.version) in ready
    state = InstallState.INSTALLED if done else InstallState.PENDING
    return AppState(name=order.name, version=order.version, state=state)


def _state_of(entries: list[FileState] | list[AppState], name: str) -> InstallState | None:
    return next((entry.state for entry in entries if entry.name == name), None)
