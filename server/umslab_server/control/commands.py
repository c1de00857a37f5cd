# SPDX-License-Identifier: Apache-2.0
"""`ctl command`: commands to devices, with their results as they come."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

from msgspec import Meta, Struct

from umslab_protocol.wire.orders import CommandName, Parameters
from umslab_server.commanding.executions import DelaySeconds, Parallel, TimeoutSeconds
from umslab_server.commanding.selectors import Selector
from umslab_server.control.dispatch import ACTOR, Command, Emit, Number

if TYPE_CHECKING:
    from umslab_runtime.clock import Clock
    from umslab_server.commanding.commands import Commands
    from umslab_server.commanding.executions import TaskView

WaitSeconds = Annotated[float, Meta(ge=0, le=31 * 86_400)]


class _Start(Struct, forbid_unknown_fields=True):
    command: CommandName
    selector: Selector
    parameters: Parameters = {}
    retry_at_boot: bool = False
    timeout_seconds: TimeoutSeconds | None = None
    parallel: Parallel = 0
    delay_seconds: DelaySeconds = 0.0
    wait: bool = True
    within_seconds: WaitSeconds | None = None


class _Execution(Struct, forbid_unknown_fields=True):
    exec_id: str


class _List(Struct, forbid_unknown_fields=True):
    limit: Number = 100


class _Select(Struct, forbid_unknown_fields=True):
    selector: Selector


class CommandCommands:
    """The commands of this area."""

    def __init__(self, commands: Commands, *, clock: Clock) -> None:
        self._commands = commands
        self._clock = clock

    def table(self) -> dict[str, Command]:
        """Name -> command."""
        return {
            "devices.select": Command.plain(_Select, self._select),
            "command.start": Command(_Start, self._start),
            "command.list": Command.plain(_List, self._list),
            "command.results": Command.plain(_Execution, self._results),
            "command.cancel": Command.plain(_Execution, self._cancel),
        }

    async def _select(self, args: _Select) -> Any:
        return await self._commands.select(args.selector)

    async def _start(self, args: _Start, emit: Emit) -> Any:
        """Emit the execution, then each result; a device kept for its next boot is a result of now."""
        exec_id = await self._commands.start(
            args.command,
            args.selector,
            args.parameters,
            actor=ACTOR,
            retry_at_boot=args.retry_at_boot,
            timeout=args.timeout_seconds,
            parallel=args.parallel,
            delay=args.delay_seconds,
        )
        run = self._commands.progress(exec_id)
        if not args.wait or run is None:
            return await self._summary(exec_id)
        await emit({"exec_id": exec_id, "devices": run.devices})
        ends = None if args.within_seconds is None else self._clock.monotonic() + args.within_seconds
        seen: list[TaskView] = []
        while news := await run.news(len(seen), None if ends is None else ends - self._clock.monotonic()):
            for one in news:
                await emit(one)
            seen += news
        return await self._summary(exec_id)

    async def _summary(self, exec_id: str) -> Any:
        return (await self._commands.results(exec_id))[0]

    async def _list(self, args: _List) -> Any:
        return await self._commands.list_executions(args.limit)

    async def _results(self, args: _Execution) -> Any:
        execution, tasks = await self._commands.results(args.exec_id)
        return {"execution": execution, "tasks": tasks}

    async def _cancel(self, args: _Execution) -> Any:
        return {"cancelled": await self._commands.cancel(args.exec_id, actor=ACTOR)}
