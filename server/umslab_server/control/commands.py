# SPDX-License-Identifier: Apache-2.0
"""`ctl command`: commands to devices, with their results as they come, for whoever gave them and for others."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Annotated, Any

import msgspec
from msgspec import Meta, Struct

from umslab_protocol.wire.orders import CommandName, Parameters
from umslab_server.commanding.executions import SENT, WAITING, DelaySeconds, Parallel, TimeoutSeconds
from umslab_server.commanding.selectors import Selector
from umslab_server.control.dispatch import ACTOR, Command, Emit, Number
from umslab_server.errors import RefusedError

if TYPE_CHECKING:
    from umslab_runtime.clock import Clock
    from umslab_server.commanding.commands import Commands

WaitSeconds = Annotated[float, Meta(ge=0, le=31 * 86_400)]
_OVER = {"SUCCESS", "FAILED"}
_UNDER_WAY = {WAITING, SENT}


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


class _Follow(Struct, forbid_unknown_fields=True):
    exec_id: str
    within_seconds: WaitSeconds | None = None


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
            "command.follow": Command(_Follow, self._follow),
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
        if args.wait:
            return await self._follow(_Follow(exec_id, args.within_seconds), emit)
        return (await self._commands.results(exec_id))[0]

    async def _follow(self, args: _Follow, emit: Emit) -> Any:
        """Emit the execution, the results that are there, and then each as it comes; return how it stands at the end.

        What is kept for the next boot of a device is told once, and not waited for.
        """
        run = self._commands.progress(args.exec_id)
        ends = None if args.within_seconds is None else self._clock.monotonic() + args.within_seconds
        execution, tasks = await self._commands.results(args.exec_id)
        await emit({"exec_id": args.exec_id, "devices": execution.devices})
        told = {one.unit_id: one.state for one in tasks if one.state not in _UNDER_WAY}
        for one in tasks:
            if one.unit_id in told:
                await emit(one)
        seen = 0
        while run and (news := await run.news(seen, None if ends is None else ends - self._clock.monotonic())):
            for one in news:
                if told.get(one.unit_id) not in {one.state, *_OVER}:
                    told[one.unit_id] = one.state
                    await emit(one)
            seen += len(news)
        try:
            return (await self._commands.results(args.exec_id))[0]
        except RefusedError:  # it is over, and its job keeps no results
            return msgspec.structs.replace(execution, states=dict(sorted(Counter(told.values()).items())))

    async def _list(self, args: _List) -> Any:
        return await self._commands.list_executions(args.limit)

    async def _results(self, args: _Execution) -> Any:
        execution, tasks = await self._commands.results(args.exec_id)
        return {"execution": execution, "tasks": tasks}

    async def _cancel(self, args: _Execution) -> Any:
        return {"cancelled": await self._commands.cancel(args.exec_id, actor=ACTOR)}
