# SPDX-License-Identifier: Apache-2.0
"""The services of commanding on an office, and robots: devices that do what they are told, and remember it."""

from __future__ import annotations

from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import trio
from trio.testing import wait_all_tasks_blocked

from tests.server.parts import Office, open_office, unit_id
from tests.server.pumps import RecordingPump
from tests.support.greeting import hello
from umslab_protocol.wire.messages import Command, Result
from umslab_protocol.wire.orders import CommandName, ResultState
from umslab_runtime.workers import Workers
from umslab_server import registry
from umslab_server.commanding.commands import Commands
from umslab_server.commanding.jobs import Jobs
from umslab_server.commanding.selectors import Selector
from umslab_server.commanding.views import Views
from umslab_server.importing import ImportedDevice
from umslab_server.sessions import Admitted, LiveSession
from umslab_server.tables import task

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable
    from pathlib import Path

    from sqlalchemy import Executable, Table

    from umslab_protocol.values.unit_id import UnitId
    from umslab_protocol.wire.messages import Message
    from umslab_server.commanding.executions import TaskView
    from umslab_server.store import Event, Writer

EVERYONE = Selector(everyone=True)


@dataclass
class Robot:
    """A device with a durable journal: it does a command once and answers it as often as it is sent."""

    number: int = 1
    boot: int = 1
    answers: bool = True
    state: ResultState = ResultState.SUCCESS
    done: list[str] = field(default_factory=list)
    """Execution IDs of what it has done, in order."""
    heard: list[Command] = field(default_factory=list)
    times: list[float] = field(default_factory=list)
    before: Callable[[Command], None] | None = None
    """Called before a command is done."""

    @property
    def unit_id(self) -> UnitId:
        """Its unit ID."""
        return unit_id(self.number)

    def hear(self, session: LiveSession, command: Command) -> None:
        """Do a command, unless it is done already, and answer."""
        self.heard.append(command)
        self.times.append(trio.current_time())
        if self.before is not None:
            self.before(command)
        if not self.answers:
            return
        if command.execID not in self.done:
            self.done.append(command.execID)
        session.answered(Result(re=command.id, execID=command.execID, state=self.state, message="done"))


class RobotPump(RecordingPump):
    """Hands commands to a robot."""

    __slots__ = ("robot", "session")

    def __init__(self, robot: Robot) -> None:
        super().__init__()
        self.robot = robot
        self.session: LiveSession | None = None

    def send(self, message: Message) -> None:
        """Let the robot hear it."""
        super().send(message)
        if isinstance(message, Command) and self.session is not None:
            self.robot.hear(self.session, message)


@dataclass
class Workshop:
    """The services, and who is connected."""

    office: Office
    workers: Workers
    commands: Commands
    jobs: Jobs
    views: Views
    sessions: dict[int, LiveSession] = field(default_factory=dict)

    async def add(self, *numbers: int, address: str = "192.0.2.7") -> None:
        """Devices that the registry knows."""
        await self.office.registry.import_devices(
            [ImportedDevice(unit_id=unit_id(number)) for number in numbers], actor="test"
        )
        for number in numbers:
            await self.set(number, last_ip=address)

    async def set(self, number: int, **values: Any) -> None:
        """Set columns of a device."""
        await self.office.store.change(lambda writer: registry.update(writer, unit_id(number), **values))

    async def come(self, robot: Robot, *, booted: bool = False) -> LiveSession:
        """A robot connects and says hello."""
        pump = RobotPump(robot)
        session = pump.session = LiveSession(Admitted(robot.unit_id), "s", pump)
        self.sessions[robot.number] = session
        self.office.presence.join(session)
        robot.boot += booted
        await self.commands.greeted(session, hello(robot.unit_id, boot=str(robot.boot)), booted)
        return session

    def leave(self, robot: Robot) -> None:
        """Its session ends."""
        session = self.sessions.pop(robot.number)
        session.forsake()
        self.office.presence.leave(session)

    async def bring(self, *numbers: int) -> list[Robot]:
        """Devices that are known and connected."""
        await self.add(*numbers)
        robots = [Robot(number) for number in numbers]
        for robot in robots:
            await self.come(robot)
        return robots

    async def start(self, *numbers: int, command: CommandName = CommandName.REBOOT, **options: Any) -> str:
        """Give a command to devices, without numbers to all."""
        selector = Selector(unit_ids=[unit_id(number) for number in numbers]) if numbers else EVERYONE
        return await self.commands.start(command, selector, actor="ann", **options)

    async def results(self, exec_id: str) -> list[TaskView]:
        """What became of it, when everything that can happen now has happened."""
        await wait_all_tasks_blocked()
        return (await self.commands.results(exec_id))[1]

    async def states(self, exec_id: str) -> list[str]:
        """The states of its tasks."""
        return [one.state for one in await self.results(exec_id)]

    async def told(self, exec_id: str) -> list[tuple[str, str]]:
        """States and messages of its tasks."""
        return [(one.state, one.message) for one in await self.results(exec_id)]

    async def events(self, *kinds: str) -> list[Event]:
        """The feed; with `kinds`, only these."""
        return await self.office.events(*kinds)

    async def count(self, table: Table = task) -> int:
        """The rows of a table."""
        return len(await self.office.store.read(lambda connection: connection.execute(table.select()).all()))

    async def change(self, work: Callable[[Writer], Any]) -> Any:
        """Change the registry."""
        return await self.office.store.change(work)

    async def execute(self, statement: Executable) -> None:
        """Change the registry by a statement."""

        def work(writer: Writer) -> None:
            writer.connection.execute(statement)

        await self.office.store.change(work)


@asynccontextmanager
async def open_workshop(
    folder: Path, *, threads: int = 50, queue: int | None = None, expiry_minutes: float | None = None
) -> AsyncIterator[Workshop]:
    """Open the services on a folder; opening it again is a restart of the server."""
    async with open_office(folder) as office:
        workers = Workers(threads, queue)
        commands = Commands(
            office.store, office.reach, clock=office.clock, workers=workers, host="ums.lab", timeout_seconds=30.0
        )
        jobs = Jobs(office.store, commands, clock=office.clock, expiry_minutes=expiry_minutes)
        office.registry.on_gone = commands.gone
        await commands.open()
        views = Views(office.store, office.presence, clock=office.clock)
        async with trio.open_nursery() as nursery:
            for run in (workers.run, commands.run, jobs.run):
                nursery.start_soon(run)
            yield Workshop(office, workers, commands, jobs, views)
            nursery.cancel_scope.cancel()
