# SPDX-License-Identifier: Apache-2.0
"""Somebody at the control socket: `Desk(Control(table, ...))`; the fixture `desk` has the areas of the registry."""

from __future__ import annotations

import ssl
from typing import TYPE_CHECKING, Any

import msgspec
import pytest
import trio

from tests.server.parts import EPOCH, Office
from tests.server.world import QUICK
from umslab_runtime.control import ControlError
from umslab_runtime.executor import InlineExecutor
from umslab_server import backup
from umslab_server.certificates import Certificates, open_or_create, standard_context
from umslab_server.control.certificates import CertificateCommands
from umslab_server.control.devices import DeviceCommands
from umslab_server.control.dispatch import Control
from umslab_server.control.keys import KeyCommands
from umslab_server.control.server import ServerCommands
from umslab_server.state_folder import StateFolder

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path


class Desk:
    """Somebody at the control socket."""

    def __init__(self, control: Control) -> None:
        self.control = control
        self.items: list[Any] = []

    def names(self, prefix: str = "") -> set[str]:
        """The commands that begin so."""
        return {name for name in self.control._commands if name.startswith(prefix)}

    async def ask(self, name: str, /, **args: Any) -> Any:
        """Run a command; streamed items are kept."""

        async def emit(item: Any) -> None:
            self.items.append(item)
            await trio.lowlevel.checkpoint()

        return msgspec.to_builtins(await self.control.handle(name, args, emit))

    async def refused(self, name: str, /, **args: Any) -> tuple[str, str]:
        """Run a command that is refused; return code and message."""
        with pytest.raises(ControlError) as caught:
            await self.ask(name, **args)
        return caught.value.code, str(caught.value)

    async def invalid(self, name: str, args: dict[str, Any]) -> None:
        """Run a command with arguments that make no sense: that is told with the command's name."""
        code, message = await self.refused(name, **args)

        assert code == "invalid"
        assert message.startswith(f"{name}: ")


def numbered(rows: Sequence[tuple[str, Any]]) -> list[str]:
    """Names for the rows of a table."""
    return [f"{name}-{at}" for at, (name, _) in enumerate(rows)]


def open_certificates(office: Office, folder: StateFolder) -> Certificates:
    """The certificates of a server, kept in this folder."""
    web, clients = open_or_create(folder, ["localhost"], QUICK, EPOCH)
    return Certificates(
        web,
        clients,
        names=["localhost"],
        make_context=standard_context(minimum=ssl.TLSVersion.TLSv1_3, tickets=0, check_time=False),
        clock=office.clock,
        executor=InlineExecutor(),
        store=office.store,
    )


def open_control(office: Office, path: Path) -> Control:
    """The commands of all areas that these services can answer; backups stay below `path`, whatever is asked."""
    folder = StateFolder(path)

    async def status() -> dict[str, Any]:
        return {"devices": await office.registry.count()}

    async def make_backup(name: str) -> dict[str, Any]:
        await trio.lowlevel.checkpoint()
        return backup.make(folder, path / name.replace("/", "_"), version="test", now=EPOCH)

    return Control(
        ServerCommands(office.store, status=status, backup=make_backup).table(),
        KeyCommands(office.keys).table(),
        DeviceCommands(office.registry).table(),
        CertificateCommands(open_certificates(office, folder)).table(),
    )


@pytest.fixture
def desk(office: Office, tmp_path: Path) -> Desk:
    """Control of these services."""
    return Desk(open_control(office, tmp_path))
