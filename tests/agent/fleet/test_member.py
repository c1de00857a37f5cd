# SPDX-License-Identifier: Apache-2.0
"""One device of a fleet meets trouble: what the server did is counted by cause, what the plan did is not."""

from __future__ import annotations

import pkgutil
from typing import TYPE_CHECKING

import msgspec
import pytest
import trio

from tests.support.fleets import fleet_in
from tests.support.lab import open_lab
from umslab_agent.behaviour import DeviceBehaviour
from umslab_agent.fleet.measured import Condition, Step
from umslab_agent.fleet.scenario import AtOnce, Behaviour, CommandWave, Flat, Kind, Onboard, Ramp, Scenario, Steady
from umslab_protocol.values.host_port import HostPort
from umslab_protocol.wire.orders import CommandName
from umslab_server.commanding.selectors import Selector

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from pathlib import Path

    from trio.testing import MockClock

    from tests.support.lab import Lab
    from umslab_runtime.streams import Transport

SCENARIO = Scenario(
    devices=6,
    arrivals=Ramp(seconds=3),
    phases=(Onboard(within_seconds=100),),
    retry=Flat(seconds=20, jitter=0),
    behaviour=Behaviour(device=DeviceBehaviour(boot_seconds=1)),
)


async def _hang(transport: Transport) -> None:
    await trio.sleep(1000)
    transport.abort()


async def _reset(transport: Transport) -> None:
    transport.abort()


async def _garbage(transport: Transport) -> None:
    try:
        await transport.send_all(b"\x00\xffgarbage" * 100)
        await trio.sleep(1)
    except (trio.BrokenResourceError, trio.ClosedResourceError):
        pass
    transport.abort()


async def _serve(lab: Lab, answer: Callable[[Transport], Awaitable[None]], port: int) -> None:
    listener = await lab.server_network.listen("", port)
    async with trio.open_nursery() as nursery:
        while True:
            nursery.start_soon(answer, await listener.accept())


@pytest.mark.parametrize(
    ("answer", "cause", "least"),
    [
        (None, ("cacerts", "unreachable"), 25),
        (_hang, ("cacerts", "tls-broken"), 6),
        (_reset, ("cacerts", "tls-broken"), 25),
        (_garbage, ("cacerts", "not-tls"), 25),
    ],
    ids=["refuses", "hangs", "resets", "garbage"],
)
async def test_a_bad_server_is_one_cause(
    autojump_clock: MockClock,
    tmp_path: Path,
    answer: Callable[[Transport], Awaitable[None]] | None,
    cause: tuple[str, str],
    least: int,
) -> None:
    """Every try of every device is counted under what was met, and the run ends in its time."""
    async with open_lab(tmp_path) as lab, trio.open_nursery() as nursery:
        if answer is not None:
            nursery.start_soon(_serve, lab, answer, 4711)
        with fleet_in(lab, SCENARIO, target=HostPort("ums.lab", 4711)) as ours:
            await ours.fleet.run()
        nursery.cancel_scope.cancel()

    assert {cause[1]} == {reason for _, reason in ours.causes}
    assert ours.causes[cause] >= least
    assert 0 == ours.recorder.measured.managed_once
    assert 6 == ours.level(Condition.OFFLINE) + ours.level(Condition.STOPPED)
    assert "6 devices were not on board in time" in ours.fleet.notes[0]


async def test_a_server_that_vanishes(autojump_clock: MockClock, tmp_path: Path) -> None:
    """Devices were managed; then every session is lost, and every try after that refused."""
    scenario = msgspec.structs.replace(SCENARIO, phases=(Onboard(), Steady(seconds=100)))
    async with open_lab(tmp_path) as lab:
        await lab.mass_key()
        with fleet_in(lab, scenario) as ours:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(ours.fleet.run)
                await trio.sleep(10)
                await lab.kill_server()

    assert 6 == ours.recorder.measured.managed_once
    assert {"session", "connect"} == {phase for phase, _ in ours.causes}
    assert 6 == ours.level(Condition.OFFLINE)


async def test_a_wrong_key_ends_each_device(autojump_clock: MockClock, tmp_path: Path) -> None:
    """No retry helps; a device that has given up is settled, so the phase ends before its time."""
    async with open_lab(tmp_path) as lab:
        await lab.mass_key()
        with fleet_in(lab, SCENARIO, auth_key="wrong") as ours:
            began = trio.current_time()
            await ours.fleet.run()

    assert 6 == ours.level(Condition.FAILED)
    assert {"enrol"} == {phase for phase, _ in ours.causes}
    assert trio.current_time() - began < 10


async def test_a_defect_of_ours_ends_one_device(
    autojump_clock: MockClock, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is a failure like others, with the place in our code, and nobody else notices."""
    from umslab_agent.onboarding import Onboarding  # noqa: PLC0415

    original, calls = Onboarding.establish_trust, []

    async def once_broken(self: Onboarding) -> object:
        calls.append(self)
        if len(calls) == 2:
            raise ZeroDivisionError("one too many")
        return await original(self)

    monkeypatch.setattr(Onboarding, "establish_trust", once_broken)
    async with open_lab(tmp_path) as lab:
        await lab.mass_key()
        with fleet_in(lab, SCENARIO) as ours:
            await ours.fleet.run()
    (group,) = ours.recorder.measured.failures

    assert ("defect", 1) == (str(group.cause.reason), group.count)
    assert "ZeroDivisionError: one too many at test_member.py:" in group.example
    assert (5, 1) == (ours.recorder.measured.managed_once, ours.level(Condition.FAILED))


async def _break(*_: object) -> None:
    raise ZeroDivisionError("one too many")


def _break_now(*_: object) -> None:
    raise ZeroDivisionError("one too many")


@pytest.mark.parametrize(
    ("where", "what", "broken"),
    [
        ("umslab_agent.commands.Commands", "_work", _break),
        ("umslab_agent.conversation.Conversation", "wake", _break_now),
        ("umslab_agent.fleet.member.Member", "reboot", _break_now),
    ],
    ids=["a job", "a timer", "the plan"],
)
async def test_a_defect_beside_a_device_ends_that_device(
    autojump_clock: MockClock,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    where: str,
    what: str,
    broken: Callable[..., object],
) -> None:
    """In its background job, in what the timers wake, in what the plan does to it: counted once, the others go on."""
    holder = pkgutil.resolve_name(where)
    original = getattr(holder, what)
    ill: list[object] = []

    def once_broken(self: object, *args: object) -> object:
        if not ill or self is ill[0]:
            ill[:] = [self]
            return broken()
        return original(self, *args)

    monkeypatch.setattr(holder, what, once_broken)
    scenario = msgspec.structs.replace(
        SCENARIO,
        phases=(Onboard(), CommandWave(command=CommandName.REFRESH_SYSTEM_INFORMATION), Steady(seconds=3600)),
        behaviour=Behaviour(device=DeviceBehaviour(boot_seconds=1, sysinfo_changes_per_day=200), reboots_per_day=100),
    )
    async with open_lab(tmp_path) as lab:
        await lab.mass_key()

        async def give(wave: CommandWave, unit_ids: list[str]) -> str:
            await lab.services.commands.start(wave.command, Selector(unit_ids=unit_ids), actor="test")
            return "given"

        with fleet_in(lab, scenario, commander=give) as ours:
            await ours.fleet.run()
    group = next(group for group in ours.recorder.measured.failures if group.cause.reason == "defect")

    assert ("client", 1) == (str(group.cause.side), group.count)
    assert "ZeroDivisionError: one too many at test_member.py:" in group.example
    assert 6 == ours.recorder.measured.managed_once
    assert (1, 5) == (ours.level(Condition.FAILED), ours.level(Condition.STOPPED))


async def test_retry_before_enrolment_is_a_choice(autojump_clock: MockClock, tmp_path: Path) -> None:
    """Without it, the first refusal is the last."""
    scenario = msgspec.structs.replace(SCENARIO, retry=Flat(before_enrolment=False))
    async with open_lab(tmp_path) as lab:
        with fleet_in(lab, scenario, target=HostPort("ums.lab", 4711)) as ours:
            await ours.fleet.run()

    assert {("cacerts", "unreachable"): 6} == ours.causes
    assert 6 == ours.level(Condition.FAILED)


async def test_trust_is_that_of_the_kind(autojump_clock: MockClock, tmp_path: Path) -> None:
    """By token or on first use; both pin the same root here."""
    scenario = msgspec.structs.replace(
        SCENARIO, mix=(Kind(trust="first-use"), Kind(trust="token")), arrivals=AtOnce(), devices=4
    )
    async with open_lab(tmp_path) as lab:
        await lab.mass_key()
        with fleet_in(lab, scenario) as ours:
            await ours.fleet.run()

    assert 4 == ours.recorder.measured.managed_once
    assert 1 == len({shelf.pieces["trust-store/cacerts.pem"] for shelf in ours.shelves.values()})


async def test_latency_counts_from_when_the_next_try_was_due(autojump_clock: MockClock, tmp_path: Path) -> None:
    """After a wait of 20 s the try begins on time: nothing is added, and nothing is left out."""
    async with open_lab(tmp_path) as lab:
        await lab.mass_key()
        with fleet_in(lab, msgspec.structs.replace(SCENARIO, devices=1)) as ours:
            await lab.stop_server()
            async with trio.open_nursery() as nursery:
                nursery.start_soon(ours.fleet.run)
                await trio.sleep(30)
                await lab.start_server()
    steps = ours.recorder.measured.steps

    assert {("cacerts", "unreachable"): 2} == ours.causes
    assert 40 == pytest.approx(steps[Step.MANAGED].latency.maximum, rel=0.01)
    assert 0.01 > steps[Step.TCP].latency.maximum
