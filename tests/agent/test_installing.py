# SPDX-License-Identifier: Apache-2.0
"""Files first, then settings, then apps; and whatever moment the power fails at, old or new, never half."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, TypeVar

import msgspec
import pytest
import trio

from tests.agent.desk import Desk, do, open_desk
from umslab_agent.behaviour import DeviceBehaviour
from umslab_protocol.wire.close_codes import CloseCode
from umslab_protocol.wire.messages import PushAppStatus, PushFileStatus
from umslab_protocol.wire.orders import AppOrder, CommandName, FileOrder, ResultState
from umslab_runtime.executor import Executor

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from trio.testing import MockClock

    from umslab_protocol.wire.messages import SettingsMessage

T = TypeVar("T")
BROWSER = AppOrder(name="browser", version="1.2")
VIEWER = AppOrder(name="viewer", version="3.0")


async def test_files_then_settings_then_apps(tmp_path: Path, autojump_clock: MockClock) -> None:
    """W23, seen by the watcher and by the server."""
    async with open_desk(tmp_path) as desk:
        order = desk.file("wallpaper.png", b"picture")
        desk.settings(1, {"a": "b"}, apps=[BROWSER, VIEWER], files=[order])
        device = desk.device()
        await device.until_happening("viewer 3.0 installed")
        await trio.sleep(1)
        session = await desk.session()
        told = [happening.text for happening in device.happenings[1:]]
        apps = [[str(app.state) for app in push.apps] for push in session.of_kind(PushAppStatus)]

        assert told == [
            "file wallpaper.png installing", "file wallpaper.png installed", "settings version 1 applied: 1 parameter",
            "app browser 1.2 installing", "app browser 1.2 installed",
            "app viewer 3.0 installing", "app viewer 3.0 installed",
        ]  # fmt: skip
        assert apps == [
            ["pending", "pending"], ["installing", "pending"], ["installed", "pending"],
            ["installed", "installing"], ["installed", "installed"],
        ]  # fmt: skip
        assert ["pending", "installing", "installed"] == [
            str(push.files[0].state) for push in session.of_kind(PushFileStatus)
        ]
        assert b"picture" == (device.folder.files / "wallpaper.png").read_bytes()


async def test_what_is_not_in_the_document_goes(tmp_path: Path, autojump_clock: MockClock) -> None:
    """Files and apps that are not wanted any more are removed; what stays is not done again."""
    async with open_desk(tmp_path) as desk:
        keep, drop = desk.file("keep", b"k"), desk.file("drop", b"d")
        desk.settings(1, {"a": "b"}, apps=[BROWSER, VIEWER], files=[keep, drop])
        device = desk.device()
        await device.until_happening("viewer 3.0 installed")
        session = await desk.session()
        await desk.push(session, desk.settings(2, {}, apps=[VIEWER], files=[keep]))
        await device.until_happening("browser removed")
        await trio.sleep(100)
        installed = device.folder.installed.load()

        assert ["keep"] == [path.name for path in device.folder.files.iterdir()]
        assert (2, {}, ["viewer"]) == (installed.version, installed.settings, [app.name for app in installed.apps])
        assert 1 == [happening.text for happening in device.happenings].count("app viewer 3.0 installed")


class _SlowDisk(Executor):
    """Each write takes as long as the test says, and is never abandoned, as in a worker thread."""

    def __init__(self, *seconds: float) -> None:
        self._seconds = list(seconds)

    async def run(self, call: Callable[[], T]) -> T:
        with trio.CancelScope(shield=True):
            await trio.sleep(self._seconds.pop(0) if self._seconds else 0)
            return call()
        raise AssertionError("a shielded scope is not left early")


async def test_a_document_that_comes_while_the_last_state_is_written(tmp_path: Path, autojump_clock: MockClock) -> None:
    """The work on the older one ends by itself then; the newer one is not taken for done."""
    async with open_desk(tmp_path) as desk:
        desk.settings(1, {}, apps=[BROWSER])
        device = desk.device()
        await device.until_happening("browser 1.2 installing")
        unit = device.device._unit
        unit.world = replace(unit.world, executor=_SlowDisk(60))  # the write of "installed"
        await trio.sleep(40)
        await desk.push(await desk.session(), desk.settings(2, {"a": "b"}, apps=[BROWSER, VIEWER]))
        with trio.fail_after(200):
            await device.until_happening("viewer 3.0 installed")

        assert {"a": "b"} == device.folder.installed.load().settings
        assert 1 == [happening.text for happening in device.happenings].count("app browser 1.2 installed")


async def test_an_app_may_fail(tmp_path: Path, autojump_clock: MockClock) -> None:
    """With a text; it is tried again at the next boot."""
    async with open_desk(tmp_path) as desk:
        desk.settings(1, {}, apps=[BROWSER])
        device = desk.device(behaviour=DeviceBehaviour(app_failure=1.0))
        failed = await device.until_happening("browser 1.2 failed")
        device.power_off()
        await device.over.wait()
        again = desk.device()
        await again.until_happening("browser 1.2 installed")

        assert "(simulated)" in failed.text


async def test_a_session_that_ends_does_not_stop_an_installation(tmp_path: Path, autojump_clock: MockClock) -> None:
    """It goes on, and the states that were not acknowledged are told in the next session."""
    async with open_desk(tmp_path) as desk:
        desk.settings(1, {}, apps=[BROWSER])
        device = desk.device()
        await device.until_happening("browser 1.2 installing")
        session = await desk.session()
        desk.silent_about = {PushAppStatus}
        session.pump.close(CloseCode.GOING_AWAY, "again")
        second = await desk.session(2)
        desk.silent_about = set()
        push = await second.until(lambda said: isinstance(said, PushAppStatus) and said.apps[0].state == "installed")

        assert 1 == [happening.text for happening in device.happenings].count("app browser 1.2 installing")
        assert "browser" == push.apps[0].name


@pytest.mark.parametrize("problem", ["missing", "damaged", "size", "large"])
async def test_files_that_cannot_be_had(tmp_path: Path, autojump_clock: MockClock, problem: str) -> None:
    """Told as failed after a few tries; the settings come into effect all the same."""
    async with open_desk(tmp_path) as desk:
        order = desk.file("f", b"content")
        if problem == "missing":
            desk.files.clear()
        elif problem == "damaged":
            desk.files[order.sha256] = b"CONTENT"
        elif problem == "size":
            order = FileOrder(name="f", sha256=order.sha256, size=3)
        else:
            order = FileOrder(name="f", sha256=order.sha256, size=2**30)
        desk.settings(1, {"a": "b"}, files=[order])
        device = desk.device()
        failed = await device.until_happening("file f failed")
        await device.until_happening("settings version 1 applied")
        fetches = [request for _, request in desk.requests if "/files/" in request.path]

        assert (0 if problem == "large" else 4) == len(fetches)
        assert not (device.folder.files / "f").exists()
        words = {"missing": "404", "damaged": "another SHA-256", "size": "7 bytes, not the 3", "large": "at most"}
        assert words[problem] in failed.text


async def test_a_file_that_comes_late_is_fetched(tmp_path: Path, autojump_clock: MockClock) -> None:
    """The second try succeeds."""
    async with open_desk(tmp_path) as desk:
        order = desk.file("f", b"content")
        content = desk.files.pop(order.sha256)
        desk.settings(1, {"a": "b"}, files=[order])
        device = desk.device()
        await device.until_happening("file f installing")
        await trio.sleep(2)
        desk.files[order.sha256] = content
        await device.until_happening("file f installed")


async def _kill_at(desk: Desk, steps: int, document: SettingsMessage) -> int:
    """Push a document and a message to a fresh device, cut it after so many turns of the loop, boot it again."""
    device = desk.device(f"d{steps}", behaviour=DeviceBehaviour(app_install_seconds=0.01, boot_seconds=1))
    number = len(desk.sessions) + 1
    await device.until_managed()
    session = await desk.session(number)
    session.say(lambda i: _with_id(document, i))
    for _ in range(steps):
        await trio.sleep(0.0003)
    device.power_off()
    await device.over.wait()
    kept, installed = device.folder.settings.load(), device.folder.installed.load()
    assert kept.version in {1, 2}
    assert kept.settings == ({"old": "1"} if kept.version == 1 else {"new": "2"})
    assert installed.settings in ({}, {"old": "1"}, {"new": "2"})
    again = desk.device(f"d{steps}")
    desk.document = document
    await again.until_managed()
    await trio.sleep(120)
    assert again.folder.settings.load().version == 2
    assert [("browser", "installed")] == [(app.name, app.state) for app in again.folder.installed.load().apps]
    assert b"picture" == (again.folder.files / "wallpaper.png").read_bytes()
    again.power_off()
    await again.over.wait()
    return kept.version


def _with_id(document: SettingsMessage, number: int) -> SettingsMessage:
    return msgspec.structs.replace(document, id=number)


async def test_power_cuts_under_a_push(tmp_path: Path, autojump_clock: MockClock) -> None:
    """Cut at every moment of a push: the old document or the new, never half; in the end all of the new."""
    async with open_desk(tmp_path) as desk:
        seen = set()
        for steps in range(0, 60, 2):
            order = desk.file("wallpaper.png", b"picture")
            document = desk.settings(2, {"new": "2"}, apps=[BROWSER], files=[order])
            desk.settings(1, {"old": "1"})
            seen.add(await _kill_at(desk, steps, document))

        assert {1, 2} == seen


async def test_power_cuts_under_commands(tmp_path: Path, autojump_clock: MockClock) -> None:
    """Cut at every moment of a message and a reboot: in the end one message, and each result is a success."""
    async with open_desk(tmp_path) as desk:
        for steps in range(0, 40, 2):
            name = f"d{steps}"
            device = desk.device(name, behaviour=DeviceBehaviour(boot_seconds=1))
            number = len(desk.sessions) + 1
            await device.until_managed()
            session = await desk.session(number)

            async def order(session: object, exec_id: str, name: CommandName) -> ResultState:
                return (await do(session, name, exec_id, text="hello")).state  # type: ignore[arg-type]

            async with trio.open_nursery() as nursery:

                async def try_it(session: object = session) -> None:
                    with trio.move_on_after(5):
                        try:
                            await order(session, "m", CommandName.MESSAGE)
                        except AssertionError:
                            return  # the session ended first

                nursery.start_soon(try_it)
                for _ in range(steps):
                    await trio.sleep(0.0003)
                device.power_off()
                await device.over.wait()
            again = desk.device(name, behaviour=DeviceBehaviour(boot_seconds=1))
            number = len(desk.sessions) + 1
            second = await desk.session(number)
            await again.until_managed()

            assert ResultState.SUCCESS is await order(second, "m", CommandName.MESSAGE)
            assert ["m"] == [entry.execID for entry in again.folder.inbox.load().messages]
            assert ["m"] == [entry.execID for entry in again.folder.journal.load().done]
            again.power_off()
            await again.over.wait()


async def test_a_power_cut_between_result_and_deed(tmp_path: Path, autojump_clock: MockClock) -> None:
    """A reset that was promised is done at the next boot, once."""
    async with open_desk(tmp_path) as desk:
        device = desk.device()
        await device.until_managed()
        device.power_off()
        await device.over.wait()
        journal = device.folder.journal.load()
        device.folder.journal.save(msgspec.structs.replace(journal, reset_pending=True))
        certificate = device.folder.load_identity()
        again = desk.device()
        await again.until_managed()

        assert certificate != again.folder.load_identity()
        assert not again.folder.journal.load().reset_pending
