# SPDX-License-Identifier: Apache-2.0
"""Runs a plan: arrivals at their time whoever is still on the way (an open model), phase after phase, and the end.

A task for each device that has arrived, and none that waits for each of them: a phase knows whom it still misses.
"""

from __future__ import annotations

import math
from functools import partial
from typing import TYPE_CHECKING, assert_never

import trio

from umslab_agent.fleet.actions import Action, is_at
from umslab_agent.fleet.measured import Condition
from umslab_agent.fleet.member import Equipment, Member
from umslab_agent.fleet.pacing import Pacing
from umslab_agent.fleet.scenario import CommandWave, Drain, Onboard, RenewalWave, Steady, Storm
from umslab_runtime.defects import run_guarded

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterable

    from umslab_agent.fleet.actions import PlannedAction
    from umslab_agent.fleet.plan import Plan, PlannedPhase

    Commander = Callable[[CommandWave, list[str]], Awaitable[str]]
    """Gives a command to the devices with these unit IDs and waits for all; returns a sentence about how it went."""

NOTHING_TO_RENEW = "renewal: skipped for {} OS 11 devices, which have no certificate of the UMS"
BREATHER = 50
"""Things done at one moment before everything else gets its turn."""


class Fleet:
    """The devices of a plan, or of one shard."""

    def __init__(
        self,
        plan: Plan,
        equipment: Equipment,
        *,
        say: Callable[[str], None],
        commander: Commander | None = None,
    ) -> None:
        """`say` is told what a person wants to see: when phases begin, what was left out."""
        self.plan = plan
        self.members = {one.index: Member(one, equipment, self._settled) for one in plan.devices}
        self.notes: list[str] = []
        self.phase: PlannedPhase | None = None
        self.ends_by = math.inf
        """When the phase ends at the latest; infinite while nobody can know."""
        self.interrupted = False
        self.pacing = Pacing(plan.arrivals, 0.0)
        """Of the arrivals; has its moments when the fleet runs."""
        self._equipment = equipment
        self._recorder = equipment.recorder
        self._clock = equipment.world.clock
        self._say = say
        self._commander = commander
        self._repaced = trio.Event()
        self._onboarding: tuple[Onboard, trio.CancelScope] | None = None
        self._phases = trio.CancelScope()
        self._hard_stop = trio.CancelScope()
        self._missing: set[int] = set()
        self._complete = trio.Event()
        self._outstanding = trio.Semaphore(plan.scenario.outstanding) if plan.scenario.outstanding else None
        self._on_way: set[int] = set()
        self._living = 0
        self._all_over = trio.Event()

    async def run(self) -> None:
        """Run the plan to its end; nothing that happens to a device ends it."""
        self.pacing = Pacing(self.plan.arrivals, self._clock.monotonic())
        *phases, drain = self.plan.phases
        with self._hard_stop:
            async with trio.open_nursery() as nursery:
                with self._phases:
                    for phase in phases:
                        await self._run_phase(phase, nursery)
                await self._drain(drain)
                nursery.cancel_scope.cancel()
        for position in range(self.pacing.arrived, len(self.plan.devices)):
            self._recorder.missed(self.pacing.due(position))

    def stop(self) -> None:
        """End early: devices say goodbye. The second time: at once."""
        if self.interrupted:
            self._hard_stop.cancel()
        self.interrupted = True
        self._phases.cancel()

    # Steering.

    def pause(self) -> bool:
        """Let nobody arrive from now on; tells whether that is new."""
        return self.pacing.pause(self._clock.monotonic()) and self._repace()

    def resume(self) -> bool:
        """Let devices arrive again, all later by the pause; tells whether there was one."""
        return self.pacing.resume(self._clock.monotonic()) and self._repace()

    def set_rate(self, per_second: float, after: float = 0.0) -> None:
        """Let those who are to arrive yet do so at this rate, the first of them after so many seconds."""
        self.pacing.set_rate(per_second, self._clock.monotonic(), after)
        self._repace()

    def disconnect(self, who: str, seconds: float) -> tuple[int, int]:
        """Break the network of `all`, of a site or of a circuit `SITE/N` for so long, as a storm does.

        Returns how many devices stand there, and how many of them had a session.
        """
        there = [member for member in self.members.values() if is_at(member.planned, who)]
        had = sum(member.condition in {Condition.CONNECTED, Condition.MANAGED} for member in there)
        for member in there:
            if member.alive:
                run_guarded(partial(member.lose_network, seconds), member.broke)
        return len(there), had

    def _repace(self) -> bool:
        """Arrivals, and the end of the phase that waits for them, are at other moments now."""
        self._repaced.set()
        self._repaced = trio.Event()
        if self._onboarding is not None:
            onboard, patience = self._onboarding
            patience.deadline = self.ends_by = self._onboard_by(onboard)
        return True

    # Phases.

    async def _run_phase(self, planned: PlannedPhase, nursery: trio.Nursery) -> None:
        began = self._begin(planned)
        match planned.phase:
            case Onboard() as onboard:
                await self._onboard(onboard, nursery)
            case Steady(seconds=seconds):
                self.ends_by = began + seconds
                await self._act(planned.actions, began)
                await trio.sleep_until(self.ends_by)
            case Storm() as storm:
                self._miss(action.index for action in planned.actions)
                await self._act(planned.actions, began)
                back = max((action.seconds for action in planned.actions), default=0.0)
                await self._wait(began + back + storm.within_seconds, "managed again")
            case RenewalWave() as wave:
                if os11 := sum(one.os11 for one in self.plan.devices):
                    self._note(NOTHING_TO_RENEW.format(os11))
                self._miss(action.index for action in planned.actions)
                await self._act(planned.actions, began)
                await self._wait(began + wave.spread_seconds + wave.within_seconds, "managed with a new certificate")
            case CommandWave() as wave:
                await self._command(wave)
            case Drain():
                raise AssertionError("drain is the end of every plan")
            case _:
                assert_never(planned.phase)

    def _begin(self, planned: PlannedPhase) -> float:
        now = self._clock.monotonic()
        self.phase, self.ends_by = planned, math.inf
        self._recorder.begin_phase(planned.kind, now)
        self._say(f"phase {planned.number}: {planned.kind}")
        return now

    async def _onboard(self, onboard: Onboard, nursery: trio.Nursery) -> None:
        self._miss(self.members)
        patience = trio.CancelScope()
        self._onboarding = onboard, patience
        async with trio.open_nursery() as arriving:
            arriving.start_soon(self._arrive, nursery)
            await self._wait(self._onboard_by(onboard), "on board", patience)
            arriving.cancel_scope.cancel()
        self._onboarding = None

    def _onboard_by(self, onboard: Onboard) -> float:
        last = self.pacing.last_due if self.plan.devices else self._clock.monotonic()
        return math.inf if last is None else last + onboard.within_seconds

    async def _arrive(self, nursery: trio.Nursery) -> None:
        for planned in self.plan.devices:
            if self._outstanding is not None:
                await self._outstanding.acquire()
                self._on_way.add(planned.index)
            intended = await self._next_due()
            self.pacing.arrived += 1
            self._living += 1
            self._recorder.arrived(intended, self._clock.monotonic())
            nursery.start_soon(self._live, self.members[planned.index], intended)

    async def _next_due(self) -> float:
        """Wait until the next device is due, also when that is at another moment meanwhile; returns the moment."""
        while True:
            due = self.pacing.next_due
            with trio.move_on_at(math.inf if due is None else due):
                await self._repaced.wait()
                continue
            if due is not None:
                return due

    async def _live(self, member: Member, intended: float) -> None:
        try:
            await member.run(intended)
        finally:
            self._living -= 1
            if not self._living:
                self._all_over.set()

    async def _command(self, wave: CommandWave) -> None:
        managed = [one for one in self.members.values() if one.condition is Condition.MANAGED]
        if self._commander is None:
            self._note(
                f"command {wave.command}: not given, because nobody here can command: the server's control socket is "
                "needed (--server-state)"
            )
            return
        self.ends_by = self._clock.monotonic() + wave.within_seconds
        with trio.move_on_at(self.ends_by) as patience:
            said = await self._commander(wave, [one.planned.persona.unit_id for one in managed])
            self._say(f"command {wave.command}: {said}")
        if patience.cancelled_caught:
            self._note(f"command {wave.command}: not all had answered after {wave.within_seconds:g} s")

    async def _drain(self, planned: PlannedPhase) -> None:
        """Say goodbye to everybody; quickly when the run was stopped."""
        began = self._begin(planned)
        spread = 0.0 if self.interrupted else planned.phase.spread_seconds  # type: ignore[union-attr]
        self.ends_by = began + spread + planned.phase.within_seconds  # type: ignore[union-attr]
        with trio.move_on_at(self.ends_by) as patience:
            await self._act(planned.actions, began if spread else -math.inf)
            while self._living:
                self._all_over = trio.Event()
                await self._all_over.wait()
        if patience.cancelled_caught:
            self._note(f"{self._living} devices had to be cut off at the end")
        for member in self.members.values():
            member.cut_off()

    # Actions.

    async def _act(self, actions: Iterable[PlannedAction], began: float) -> None:
        for number, action in enumerate(actions):
            if number % BREATHER == 0 or action.at:
                await trio.sleep_until(began + action.at)
            member = self.members[action.index]
            run_guarded(partial(self._do, member, action), member.broke)

    def _do(self, member: Member, action: PlannedAction) -> None:
        if not member.alive:
            self._found(member.planned.index)
            return
        match action.action:
            case Action.REBOOT:
                member.reboot(action.seconds)
            case Action.SUSPEND:
                member.suspend(action.seconds)
            case Action.NETWORK_LOSS:
                member.lose_network(action.seconds)
            case Action.POWER_LOSS:
                member.lose_power(action.seconds)
            case Action.RENEW:
                if not member.renew():
                    self._found(member.planned.index)
            case Action.SHUT_DOWN:
                member.shut_down()
            case _:
                assert_never(action.action)

    # Who is missing.

    def _miss(self, indexes: Iterable[int]) -> None:
        self._missing = set(indexes)
        self._complete = trio.Event()
        if not self._missing:
            self._complete.set()

    def _settled(self, member: Member) -> None:
        index = member.planned.index
        if self._outstanding is not None and index in self._on_way:
            self._on_way.remove(index)
            self._outstanding.release()
        self._found(index)

    def _found(self, index: int) -> None:
        if index in self._missing:
            self._missing.remove(index)
            if not self._missing:
                self._complete.set()

    async def _wait(self, deadline: float, what: str, patience: trio.CancelScope | None = None) -> None:
        """Wait for all who are missed; somebody who may move the deadline gives the scope that has it."""
        patience = patience or trio.CancelScope()
        patience.deadline = self.ends_by = deadline
        with patience:
            await self._complete.wait()
            return
        self._note(
            f"phase {self.phase.number if self.phase else 0}: {len(self._missing)} devices were not {what} in time"
        )

    def _note(self, text: str) -> None:
        self.notes.append(text)
        self._say(text)
