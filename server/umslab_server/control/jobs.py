# SPDX-License-Identifier: Apache-2.0
"""`ctl jobs`: commands that are given later, or again and again."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Annotated, Any

from msgspec import UNSET, Meta, Struct, UnsetType

from umslab_protocol.wire.orders import CommandName, Parameters
from umslab_server.commanding.executions import DelaySeconds, Order, Parallel, TimeoutSeconds
from umslab_server.commanding.jobs import Plan
from umslab_server.commanding.selectors import Selector
from umslab_server.control.dispatch import ACTOR, Command, NoArgs

if TYPE_CHECKING:
    from umslab_server.commanding.jobs import Jobs

Moment = Annotated[datetime, Meta(tz=True)]
TenYears = Annotated[float, Meta(ge=0, le=10 * 366 * 86_400)]
Period = Annotated[float, Meta(ge=1, le=10 * 366 * 86_400)]


class _Create(Struct, forbid_unknown_fields=True):
    job: str
    command: CommandName
    selector: Selector
    parameters: Parameters = {}
    at: Moment | None = None
    in_seconds: TenYears | None = None
    every_seconds: Period | None = None
    expiry_seconds: Period | UnsetType | None = UNSET
    retry_at_boot: bool = False
    timeout_seconds: TimeoutSeconds | None = None
    parallel: Parallel = 0
    delay_seconds: DelaySeconds = 0.0
    keep_results: bool = True
    enabled: bool = True


class _Job(Struct, forbid_unknown_fields=True):
    job: str


class _Enable(Struct, forbid_unknown_fields=True):
    job: str
    enabled: bool


class JobCommands:
    """The commands of this area."""

    def __init__(self, jobs: Jobs, *, timeout_seconds: float) -> None:
        """`timeout_seconds` holds where a job says nothing."""
        self._jobs = jobs
        self._timeout_seconds = timeout_seconds

    def table(self) -> dict[str, Command]:
        """Name -> command."""
        return {
            "jobs.create": Command.plain(_Create, self._create),
            "jobs.list": Command.plain(NoArgs, self._list),
            "jobs.show": Command.plain(_Job, self._show),
            "jobs.enable": Command.plain(_Enable, self._enable),
            "jobs.run": Command.plain(_Job, self._run),
            "jobs.delete": Command.plain(_Job, self._delete),
        }

    async def _create(self, args: _Create) -> Any:
        order = Order(
            command=args.command,
            selector=args.selector,
            parameters=args.parameters,
            retry_at_boot=args.retry_at_boot,
            timeout_seconds=self._timeout_seconds if args.timeout_seconds is None else args.timeout_seconds,
            parallel=args.parallel,
            delay_seconds=args.delay_seconds,
        )
        plan = Plan(
            at=args.at,
            in_seconds=args.in_seconds,
            every_seconds=args.every_seconds,
            expiry_seconds=args.expiry_seconds,
        )
        return await self._jobs.create(
            args.job, order, plan, actor=ACTOR, enabled=args.enabled, keep_results=args.keep_results
        )

    async def _list(self, args: NoArgs) -> Any:
        del args
        return await self._jobs.list_jobs()

    async def _show(self, args: _Job) -> Any:
        return await self._jobs.show(args.job)

    async def _enable(self, args: _Enable) -> Any:
        return await self._jobs.enable(args.job, enabled=args.enabled, actor=ACTOR)

    async def _run(self, args: _Job) -> Any:
        return {"exec_id": await self._jobs.run_now(args.job, actor=ACTOR)}

    async def _delete(self, args: _Job) -> Any:
        await self._jobs.delete(args.job, actor=ACTOR)
