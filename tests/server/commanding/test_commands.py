# SPDX-License-Identifier: Apache-2.0
"""Tests of umslab_server.commanding.commands: what becomes of a command, whatever the device, the session or we do."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
import trio
from trio.testing import MockClock, wait_all_tasks_blocked

from tests.server.parts import fill_disk, free_disk, rendered_logs, unit_id
from umslab_protocol.wire.close_codes import CloseCode
from umslab_protocol.wire.messages import Ack, Command, Error, Result
from umslab_protocol.wire.orders import CommandName, ResultState
from umslab_server.commanding import commands as module
from umslab_server.commanding.executions import Order
from umslab_server.commanding.selectors import Selector
from umslab_server.errors import RefusedError
from umslab_server.importing import ImportedDevice
from umslab_server.tables import execution

from .workshop import Robot, Workshop, open_workshop

if TYPE_CHECKING:
    from pathlib import Path

SUCCESS, FAILED = "SUCCESS", "FAILED"


class TestStart:
    """A device that is connected."""

    async def test_result(self, shop: Workshop, autojump_clock: MockClock) -> None:
        """J7: one result a device, with times; the message carries execution ID, name and parameters."""
        (robot,) = await shop.bring(1)
        exec_id = await shop.start(1, command=CommandName.MESSAGE, parameters={"text": "hello"})
        (result,) = await shop.results(exec_id)
        (heard,) = robot.heard

        assert (heard.execID, heard.command, heard.parameters) == (exec_id, CommandName.MESSAGE, {"text": "hello"})
        assert (result.state, result.message, result.unit_id, result.mac) == (SUCCESS, "done", unit_id(1), unit_id(1))
        assert (result.sent_at, result.finished_at) == ("2026-01-01T00:00:00.000Z",) * 2
        assert exec_id == "ID-ums.lab-1-1767225600000-1-0"

    async def test_events(self, shop: Workshop) -> None:
        """One for the execution, with its number of devices; one for each sending and each result."""
        await shop.bring(1, 2, 3)
        exec_id = await shop.start()
        await shop.results(exec_id)
        (started,) = await shop.events("command-started")
        results = await shop.events("command-result")

        assert started.data == {"command": "reboot", "exec_id": exec_id, "devices": 3, "job": None}
        assert started.actor == "ann"
        assert {event.unit_id for event in results} == {unit_id(number) for number in (1, 2, 3)}
        assert [(event.actor, event.data["state"]) for event in results] == [("device", SUCCESS)] * 3
        assert len(await shop.events("command-sent")) == 3

    async def test_sent_is_durable_before_it_leaves(self, shop: Workshop) -> None:
        """When the device hears the command, the registry says that it was sent."""
        (robot,) = await shop.bring(1)
        states: list[str] = []

        def look(command: Command) -> None:
            connection = shop.office.store._read_connection
            states.append(str(connection.exec_driver_sql("SELECT state FROM task").scalar()))

        robot.before = look
        await shop.results(await shop.start(1))

        assert states == ["sent"]

    async def test_what_devices_answer(self, shop: Workshop) -> None:
        """A failure, an error, an answer to something else, and one that is no result: all FAILED, with the reason."""
        robots = await shop.bring(1, 2, 3, 4)
        for robot in robots[1:]:
            robot.answers = False
        robots[0].state = ResultState.FAILED
        exec_id = await shop.start()
        await wait_all_tasks_blocked()
        shop.sessions[2].answered(Error(code="unknown-type", message="what?", re=1))
        shop.sessions[3].answered(Result(re=1, execID="another", state=ResultState.SUCCESS))
        shop.sessions[4].answered(Ack(re=1))

        assert await shop.told(exec_id) == [
            (FAILED, "done"),
            (FAILED, "unknown-type: what?"),
            (FAILED, "the device answered something that is no result"),
            (FAILED, "the device answered something that is no result"),
        ]

    async def test_no_answer(self, shop: Workshop, autojump_clock: MockClock) -> None:
        """After the timeout it has failed; an answer that comes later changes nothing."""
        (robot,) = await shop.bring(1)
        robot.answers = False
        exec_id = await shop.start(1, timeout=7.5)
        await trio.sleep(7.4)
        before = await shop.states(exec_id)
        await trio.sleep(0.2)
        shop.sessions[1].answered(Result(re=1, execID=exec_id, state=ResultState.SUCCESS))

        assert before == ["sent"]
        assert await shop.told(exec_id) == [(FAILED, "no result within 7.5 s")]
        assert shop.workers.busy == 0

    async def test_nobody(self, shop: Workshop) -> None:
        """A command needs a device."""
        with pytest.raises(RefusedError, match="no device is meant"):
            await shop.start()
        with pytest.raises(RefusedError, match="no device has the unit ID"):
            await shop.start(1)
        assert await shop.count(execution) == 0

    async def test_too_many(self, shop: Workshop, monkeypatch: pytest.MonkeyPatch) -> None:
        """What is open at the same time is bounded."""
        monkeypatch.setattr(module, "MAX_OPEN_TASKS", 3)
        robots = await shop.bring(1, 2)
        for robot in robots:
            robot.answers = False
        await shop.start()
        with pytest.raises(RefusedError, match="too many commands"):
            await shop.start()
        await shop.start(1)


class TestAway:
    """A device that is not connected."""

    async def test_offline(self, shop: Workshop) -> None:
        """It fails at once; WL6: in other words when the device never had an address."""
        await shop.add(1)
        await shop.add(2, address="")

        assert await shop.told(await shop.start()) == [
            (FAILED, "the device is offline"),
            (FAILED, "Found no IP address for device"),
        ]
        assert await shop.events("command-sent") == []

    async def test_next_boot(self, shop: Workshop) -> None:
        """Kept for the next boot if asked for; coming back without a boot is not enough."""
        await shop.add(1)
        robot = Robot(1)
        exec_id = await shop.start(1, retry_at_boot=True)
        kept = await shop.told(exec_id)
        await shop.come(robot)
        back = await shop.states(exec_id)
        await shop.come(robot, booted=True)

        assert kept == [("at-next-boot", "waits for the next boot of the device")]
        assert back == ["at-next-boot"]
        assert await shop.states(exec_id) == [SUCCESS]
        assert robot.done == [exec_id]
        assert len(await shop.events("command-kept")) == 1

    async def test_left_again_before_its_turn(self, tmp_path: Path, autojump_clock: MockClock) -> None:
        """A device that booted and was gone before anybody had time for it gets it when it is back."""
        async with open_workshop(tmp_path, threads=1) as shop:
            await shop.add(1)
            exec_id = await shop.start(1, retry_at_boot=True)
            await wait_all_tasks_blocked()
            (busy,) = await shop.bring(2)
            busy.answers = False
            await shop.start(2)
            await wait_all_tasks_blocked()
            robot = Robot(1)
            await shop.come(robot, booted=True)
            shop.leave(robot)
            await trio.sleep(31)
            gone = await shop.states(exec_id)
            await shop.come(robot)

            assert gone == ["at-next-boot"]
            assert await shop.states(exec_id) == [SUCCESS]

    async def test_left_before_its_turn(self, tmp_path: Path, autojump_clock: MockClock) -> None:
        """A device that leaves while its command waits for a thread is offline."""
        async with open_workshop(tmp_path, threads=1) as shop:
            one, two = await shop.bring(1, 2)
            one.answers = False
            exec_id = await shop.start()
            await wait_all_tasks_blocked()
            shop.leave(two)
            await trio.sleep(31)

            assert await shop.told(exec_id) == [(FAILED, "no result within 30 s"), (FAILED, "the device is offline")]


class TestLostSession:
    """The session ends between the command and its result."""

    async def test_sent_again(self, shop: Workshop, autojump_clock: MockClock) -> None:
        """It stays sent, and is sent again at the next hello; the device did it once."""
        (robot,) = await shop.bring(1)
        robot.answers = False
        exec_id = await shop.start(1)
        await wait_all_tasks_blocked()
        robot.done.append(exec_id)  # it did it, but its answer was lost
        shop.leave(robot)
        await trio.sleep(10)
        away = (await shop.states(exec_id), shop.workers.busy)
        robot.answers = True
        await shop.come(robot, booted=True)

        assert away == (["sent"], 0)
        assert await shop.states(exec_id) == [SUCCESS]
        assert len(robot.heard) == 2
        assert robot.done == [exec_id]

    async def test_not_back_in_time(self, shop: Workshop, autojump_clock: MockClock) -> None:
        """After its timeout it has failed, and is not sent again."""
        (robot,) = await shop.bring(1)
        robot.answers = False
        exec_id = await shop.start(1)
        await wait_all_tasks_blocked()
        shop.leave(robot)
        await trio.sleep(31)
        result = await shop.told(exec_id)
        await shop.come(robot)
        await wait_all_tasks_blocked()

        assert result == [(FAILED, "no result within 30 s")]
        assert len(robot.heard) == 1

    @pytest.mark.parametrize("told_first", [True, False])
    async def test_newer_session(self, shop: Workshop, *, told_first: bool) -> None:
        """A newer session takes over: the command goes there, whether the end of the older one is noticed or not."""
        (robot,) = await shop.bring(1)
        robot.answers = False
        exec_id = await shop.start(1)
        await wait_all_tasks_blocked()
        older = shop.sessions[1]
        robot.answers = True
        if told_first:
            older.forsake()
        await shop.come(robot)
        await wait_all_tasks_blocked()
        older.forsake()

        assert await shop.states(exec_id) == [SUCCESS]
        assert len(robot.heard) == 2

    async def test_closing_session(self, shop: Workshop, autojump_clock: MockClock) -> None:
        """A session that is closing takes nothing; the command waits for the next one."""
        (robot,) = await shop.bring(1)
        shop.sessions[1].close(CloseCode.GOING_AWAY, "bye")
        exec_id = await shop.start(1)
        before = await shop.states(exec_id)
        await shop.come(robot)

        assert before == ["sent"]
        assert await shop.states(exec_id) == [SUCCESS]

    async def test_late_after_a_long_queue(self, tmp_path: Path, autojump_clock: MockClock) -> None:
        """When its turn to be sent again comes too late, it is not sent."""
        async with open_workshop(tmp_path, threads=1) as shop:
            one, two = await shop.bring(1, 2)
            one.answers = two.answers = False
            exec_id = await shop.start(1, timeout=10)
            await wait_all_tasks_blocked()
            shop.leave(one)
            await wait_all_tasks_blocked()
            await shop.start(2, timeout=60)
            await wait_all_tasks_blocked()
            await shop.come(one)
            await trio.sleep(61)

            assert await shop.told(exec_id) == [(FAILED, "no result within 10 s")]
            assert len(one.heard) == 1


class TestLimits:
    """Section 9: threads and queue; J3: parallelism and delay of one execution."""

    async def test_queue(self, tmp_path: Path, autojump_clock: MockClock) -> None:
        """With a queue of 0 the surplus over the threads is rejected; who is away is offline, not rejected."""
        async with open_workshop(tmp_path, threads=2, queue=0) as shop:
            robots = await shop.bring(1, 2, 3, 4)
            await shop.add(5)
            for robot in robots:
                robot.answers = False
            told = await shop.told(await shop.start())

            assert [state for state, _ in told] == ["sent", "sent", FAILED, FAILED, FAILED]
            assert [message for _, message in told][2:] == [
                "rejected: the request queue is full",
                "rejected: the request queue is full",
                "the device is offline",
            ]

    async def test_accepted_is_never_rejected(self, tmp_path: Path) -> None:
        """What waits for a boot is done after it, however many boot at once."""
        async with open_workshop(tmp_path, threads=1, queue=0) as shop:
            numbers = range(1, 6)
            await shop.add(*numbers)
            exec_id = await shop.start(retry_at_boot=True)
            await wait_all_tasks_blocked()
            for number in numbers:
                await shop.come(Robot(number), booted=True)

            assert await shop.states(exec_id) == [SUCCESS] * 5

    async def test_parallel(self, shop: Workshop, autojump_clock: MockClock) -> None:
        """No more than two devices at a time; the next when one has answered or its time is over."""
        robots = await shop.bring(*range(1, 6))
        for robot in robots:
            robot.answers = False
        exec_id = await shop.start(parallel=2, timeout=10)
        await trio.sleep(31)

        assert [robot.times for robot in robots] == [[0.0], [0.0], [10.0], [10.0], [20.0]]
        assert await shop.states(exec_id) == [FAILED] * 5

    async def test_parallel_and_a_lost_session(self, shop: Workshop, autojump_clock: MockClock) -> None:
        """A device that left gives its place to the next, once."""
        one, two, three = await shop.bring(1, 2, 3)
        one.answers = two.answers = three.answers = False
        await shop.start(parallel=1)
        await trio.sleep(1)
        shop.leave(one)
        await trio.sleep(1)
        await shop.come(one)
        await trio.sleep(1)

        assert [len(robot.heard) for robot in (one, two, three)] == [2, 1, 0]

    async def test_delay(self, shop: Workshop, autojump_clock: MockClock) -> None:
        """Seconds from one device to the next; those who are away cost none."""
        robots = await shop.bring(1, 2, 3)
        await shop.add(4)
        shop.leave(robots[1])
        await shop.start(delay=5)
        await trio.sleep(20)

        assert [robot.times for robot in robots] == [[0.0], [], [5.0]]


class TestEnd:
    """What ends a command before its time."""

    @pytest.mark.parametrize("way", ["delete", "purge"])
    async def test_device_is_deleted(self, shop: Workshop, way: str) -> None:
        """J8: open tasks of a device that goes fail, in whatever state they are."""
        (robot,) = await shop.bring(1)
        await shop.add(2)
        robot.answers = False
        exec_id = await shop.start(retry_at_boot=True)
        before = await shop.states(exec_id)
        for number in (1, 2):
            await getattr(shop.office.registry, way)(unit_id(number), actor="ann")

        assert before == ["sent", "at-next-boot"]
        assert await shop.told(exec_id) == [(FAILED, "the device was deleted")] * 2
        assert shop.workers.busy == 0

    async def test_deleted_while_it_starts(self, shop: Workshop) -> None:
        """A deletion that shares the commit with the command is not missed."""
        (robot,) = await shop.bring(1)
        order = Order(command=CommandName.REBOOT, selector=Selector(everyone=True))
        run = await shop.commands.issue(order, actor="ann", beside=lambda *_: shop.commands.gone(unit_id(1)))

        assert run is not None
        assert await shop.told(run.exec_id) == [(FAILED, "the device was deleted")]
        assert robot.heard == []
        assert shop.commands._gone_meanwhile == set()

    async def test_cancel(self, shop: Workshop) -> None:
        """What is open is given up; what is over cannot be cancelled."""
        _, two = await shop.bring(1, 2)
        two.answers = False
        exec_id = await shop.start()
        await wait_all_tasks_blocked()
        count = await shop.commands.cancel(exec_id, actor="bob")

        assert count == 1
        assert await shop.told(exec_id) == [(SUCCESS, "done"), (FAILED, "cancelled by bob")]
        with pytest.raises(RefusedError, match="is over already"):
            await shop.commands.cancel(exec_id, actor="bob")
        with pytest.raises(RefusedError, match="there is no execution"):
            await shop.commands.cancel("nonsense", actor="bob")

    async def test_full_disk(self, shop: Workshop, autojump_clock: MockClock) -> None:
        """A command that cannot be marked as sent does not leave; what became of it is written when there is room."""
        (robot,) = await shop.bring(1)
        exec_id = ""

        def fill(command: Command) -> None:
            fill_disk(shop.office.store)

        with rendered_logs():
            robot.before = fill
            robot.answers = False
            await shop.start(1, command=CommandName.MESSAGE, parameters={"text": "x" * 2000})
            await trio.sleep(40)
            open_now = shop.commands.open_tasks
            free_disk(shop.office.store)
            await trio.sleep(2)
        exec_id = (await shop.commands.list_executions())[0].exec_id

        assert open_now == 0
        assert await shop.told(exec_id) == [(FAILED, "no result within 30 s")]


class TestRestart:
    """The server ends in the middle and starts again: nothing is lost, nothing is done twice."""

    async def test_sent(self, tmp_path: Path, autojump_clock: MockClock) -> None:
        """What was sent is sent again when the device is back, and it does it once."""
        robot = Robot(1, answers=False)
        async with open_workshop(tmp_path) as shop:
            await shop.add(1)
            await shop.come(robot)
            exec_id = await shop.start(1)
            await wait_all_tasks_blocked()
            robot.done.append(exec_id)
        robot.answers = True
        async with open_workshop(tmp_path) as shop:
            before = await shop.states(exec_id)
            await shop.come(robot)

            assert before == ["sent"]
            assert await shop.states(exec_id) == [SUCCESS]
            assert robot.done == [exec_id]
            assert len(await shop.events("command-started")) == 1

    async def test_result_on_its_way(self, tmp_path: Path) -> None:
        """A result that had come, and was not written yet, is written at the end."""
        async with open_workshop(tmp_path) as shop:
            (robot,) = await shop.bring(1)
            robot.answers = False
            exec_id = await shop.start(1)
            await wait_all_tasks_blocked()
            shop.sessions[1].answered(Result(re=1, execID=exec_id, state=ResultState.SUCCESS))
            task = shop.commands._by_device[unit_id(1)][0]
            shop.commands._finish(task, ResultState.SUCCESS, "in the last moment")
        async with open_workshop(tmp_path) as shop:
            assert await shop.told(exec_id) == [(SUCCESS, "in the last moment")]
            assert shop.commands.progress(exec_id) is None

    async def test_time_is_over_meanwhile(self, tmp_path: Path, autojump_clock: MockClock) -> None:
        """The timeout counts from the sending, whoever was there."""
        robot = Robot(1, answers=False)
        async with open_workshop(tmp_path) as shop:
            await shop.add(1)
            await shop.come(robot)
            exec_id = await shop.start(1)
            await wait_all_tasks_blocked()
        await trio.sleep(60)
        async with open_workshop(tmp_path) as shop:
            assert await shop.told(exec_id) == [(FAILED, "no result within 30 s")]

    async def test_waiting(self, tmp_path: Path, autojump_clock: MockClock) -> None:
        """What was not sent gets until its timeout for its device to come back, and keeps its parallelism."""
        robots = [Robot(number) for number in (1, 2, 3)]
        robots[0].answers = False
        async with open_workshop(tmp_path) as shop:
            await shop.add(1, 2, 3)
            for robot in robots:
                await shop.come(robot)
            exec_id = await shop.start(parallel=1)
            before = await shop.states(exec_id)
        async with open_workshop(tmp_path) as shop:
            await trio.sleep(10)
            again = await shop.states(exec_id)
            await shop.come(robots[1])
            back = await shop.states(exec_id)
            await trio.sleep(21)

            assert before == again == ["sent", "waiting", "waiting"]
            assert back == ["sent", SUCCESS, "waiting"]
            assert await shop.told(exec_id) == [
                (FAILED, "no result within 30 s"),
                (SUCCESS, "done"),
                (FAILED, "the device is offline"),
            ]

    async def test_at_next_boot(self, tmp_path: Path) -> None:
        """What waits for a boot waits on."""
        async with open_workshop(tmp_path) as shop:
            await shop.add(1)
            exec_id = await shop.start(1, retry_at_boot=True)
            await wait_all_tasks_blocked()
        async with open_workshop(tmp_path) as shop:
            robot = Robot(1)
            await shop.come(robot)
            before = await shop.states(exec_id)
            await shop.come(robot, booted=True)

            assert before == ["at-next-boot"]
            assert await shop.states(exec_id) == [SUCCESS]

    async def test_ended_between_boot_and_sending(self, tmp_path: Path, autojump_clock: MockClock) -> None:
        """The boot was written, the sending was not: the command goes out at the next hello."""
        async with open_workshop(tmp_path) as shop:
            await shop.add(1)
            exec_id = await shop.start(1, retry_at_boot=True)
            await trio.sleep(60)
            await shop.set(1, booted_at="2026-01-01T00:01:00.000Z")
        async with open_workshop(tmp_path) as shop:
            await shop.come(Robot(1))

            assert await shop.states(exec_id) == [SUCCESS]

    async def test_device_went_meanwhile(self, tmp_path: Path) -> None:
        """The device was deleted, and the server ended before its tasks were failed."""
        async with open_workshop(tmp_path) as shop:
            await shop.add(1, 2)
            exec_id = await shop.start(retry_at_boot=True)
            await wait_all_tasks_blocked()
            shop.office.registry.on_gone = lambda _: None
            await shop.office.registry.delete(unit_id(1), actor="ann")
            await shop.office.registry.purge(unit_id(2), actor="ann")
        async with open_workshop(tmp_path) as shop:
            assert await shop.told(exec_id) == [(FAILED, "the device was deleted")] * 2

    async def test_finished_is_left_alone(self, tmp_path: Path) -> None:
        """What is over is over."""
        async with open_workshop(tmp_path) as shop:
            (robot,) = await shop.bring(1)
            await shop.results(await shop.start())
        async with open_workshop(tmp_path) as shop:
            await shop.come(robot, booted=True)
            await wait_all_tasks_blocked()

            assert len(robot.heard) == 1
            assert shop.commands._runs == {}


async def test_many(shop: Workshop) -> None:
    """Thousands at once: every device once, nothing is left in memory."""
    numbers = range(1, 3001)
    await shop.office.registry.import_devices(
        [ImportedDevice(unit_id=unit_id(number)) for number in numbers], actor="test"
    )
    robots = [Robot(number) for number in numbers]
    for robot in robots:
        await shop.come(robot)
    exec_id = await shop.start(command=CommandName.REFRESH_SYSTEM_INFORMATION)
    states = await shop.states(exec_id)

    assert [SUCCESS] * 3000 == states
    assert all(robot.done == [exec_id] for robot in robots)
    assert (shop.commands._runs, shop.commands._by_device, shop.commands.open_tasks) == ({}, {}, 0)
    assert shop.commands._timers._live == {}


async def test_selector_is_kept_out_of_the_way(shop: Workshop) -> None:
    """A device named twice gets the command once."""
    (robot,) = await shop.bring(1)
    await shop.results(
        await shop.commands.start(
            CommandName.REBOOT, Selector(unit_ids=[unit_id(1), unit_id(1)], everyone=True), actor="ann"
        )
    )

    assert len(robot.heard) == 1
