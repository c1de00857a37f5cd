# SPDX-License-Identifier: Apache-2.0
"""A server process and its devices, some here and some processes, and somebody who kills both at seeded moments."""

from __future__ import annotations

import os
import random
import signal
import subprocess
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import trio

from tests.support.process import QUICK_KEYS, UMSLAB, ServerProcess, clean_environment
from umslab.one_device import DeviceOptions, make_device
from umslab_agent.behaviour import DeviceBehaviour
from umslab_agent.folder import DeviceFolder
from umslab_agent.persona import derive_persona
from umslab_agent.trust import TrustMode
from umslab_protocol.machines.retrying import RetryPolicy
from umslab_protocol.values.fingerprint import CommunicationToken
from umslab_protocol.values.firmware import DEFAULT_FIRMWARE
from umslab_protocol.values.host_port import HostPort
from umslab_runtime.control import ControlError, connect_control

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence

    from umslab_agent.onboarding import World

ARGUMENTS = (*QUICK_KEYS, "--set", "enrolment.approval=manual", "--set", "enrolment.approval_seconds=1")
BEHAVIOUR = DeviceBehaviour(boot_seconds=0.1, app_install_seconds=0.05, file_retry_seconds=0.2)
GONE = {"gone", "unreachable"}
T = TypeVar("T")


@dataclass
class Member:
    """One device and how often it was started."""

    folder: DeviceFolder
    told: Path = Path(os.devnull)
    """What a process printed, all its lives together."""
    starts: int = 0
    scope: trio.CancelScope = field(default_factory=trio.CancelScope)
    process: subprocess.Popen[bytes] | None = None
    to_reset: bool = False
    """Somebody resets it to factory defaults before it starts again."""
    resets: int = 0

    def start(self) -> None:
        """Count a start; what was to be done before it is done."""
        self.starts += 1
        if self.to_reset:
            self.folder.reset()
            self.to_reset = False
            self.resets += 1

    def cut(self) -> None:
        """Take its power."""
        if self.process is not None:
            self.process.send_signal(signal.SIGKILL)
        self.scope.cancel()


class TroubledLab:
    """The fleet, its server, and the one who disturbs both."""

    def __init__(self, path: Path, seed: int, arguments: Sequence[str] = ARGUMENTS) -> None:
        self.path = path
        self.chance = random.Random(seed)
        self.server = ServerProcess(path / "ums", arguments=arguments)
        self.members: list[Member] = []
        self.moves = 0
        self.number = 0
        """Of the operation under way."""
        self._moved = trio.Event()
        self._seed = seed
        self._up = trio.Event()

    def note(self, _: object) -> None:
        """Something happened on a device."""
        self.moves += 1
        self._moved.set()
        self._moved = trio.Event()

    # Devices.

    async def live(self, world: World, index: int, key: str) -> None:
        """Run a device again and again, as long as somebody cuts it off."""
        member = Member(DeviceFolder(self.path / f"device-{index}"))
        self.members.append(member)
        member.folder.path.mkdir()
        token = (await self.when_up(partial(self.ask, "certs.show")))["token"]  # another one after a rotation
        options = DeviceOptions(
            target=HostPort("localhost", self.server.port),
            trust_mode=TrustMode(token=CommunicationToken.parse(token)),
            auth_key=key,
            policy=RetryPolicy(first=0.1, most=0.5, onboarding=True),
            behaviour=BEHAVIOUR,
        )
        member.folder.save_persona(derive_persona(self._seed, index, firmware=DEFAULT_FIRMWARE))
        while True:
            member.start()
            persona = member.folder.load_persona()
            assert persona is not None
            member.scope = trio.CancelScope()
            with member.scope:
                device = make_device(world, member.folder, persona, options, self.note, on_happening=self.note)
                raise AssertionError(f"device {index} ended: {await device.run()}, {device.failure}")

    async def live_as_process(self, index: int, key: str) -> None:
        """Run `umslab device` again and again, as long as somebody kills it."""
        where = f"localhost:{self.server.port}"
        await self._live_as_process(index, where, "--auth-key", key, "--token", self.server.about["token"])

    async def live_as_os11_process(self, index: int) -> None:
        """The same for OS 11."""
        await self._live_as_process(index, f"localhost:{self.server.os11_port}", "--os", "11", "--push-port", "0")

    async def _live_as_process(self, index: int, *arguments: str) -> None:
        path = self.path / f"process-{index}"
        member = Member(DeviceFolder(path / "device"), told=path.with_suffix(".jsonl"))
        self.members.append(member)
        behaviour = path.with_suffix(".toml")
        behaviour.write_text("boot_seconds = 0.1\napp_install_seconds = 0.05\n")
        more = ("--state", str(path), "--retry", "--behaviour", str(behaviour), "--json")
        while True:
            member.start()
            member.process = await trio.to_thread.run_sync(_start, [*UMSLAB, "device", *arguments, *more], member.told)
            try:
                code = await trio.to_thread.run_sync(member.process.wait, abandon_on_cancel=True)
            finally:
                member.process.kill()
                member.process.wait()
            assert -signal.SIGKILL == code

    # The server, and who asks it.

    async def start(self) -> None:
        """Start the server, again after a kill."""
        await trio.to_thread.run_sync(self.server.start)
        self._up.set()

    async def kill(self) -> None:
        """Kill the server; until it is started again whoever asks waits."""
        self._up = trio.Event()
        await trio.to_thread.run_sync(self.server.kill)

    async def ask(self, name: str, /, **args: Any) -> Any:
        """Ask as soon as the server is there; raises `ControlError` when it goes away meanwhile."""
        await self._up.wait()
        return await self.server.ask_async(name, args)

    async def when_up(self, question: Callable[[], Awaitable[T]]) -> T:
        """Ask something that changes nothing until there is an answer."""
        while True:
            try:
                return await question()
            except ControlError as error:
                if error.code not in GONE:
                    raise

    async def insist(self, name: str, /, done: Callable[[], Awaitable[bool]], **args: Any) -> None:
        """Ask until it is done; a server that went away may have done it."""
        while True:
            try:
                if await done():
                    return
                await self.ask(name, **args)
            except ControlError as error:
                if error.code not in GONE:
                    raise

    async def until(self, wanted: Callable[[], Awaitable[bool]]) -> None:
        """Wait until this is so, looking whenever the server has noted something."""
        while True:
            try:
                seen = (await self.ask("status"))["events"]
                if await wanted():
                    return
                await self._news(seen)
            except ControlError as error:
                if error.code not in GONE:
                    raise

    async def _news(self, seen: int) -> None:
        with trio.CancelScope() as scope:
            async with connect_control(Path(self.server.about["control"])) as client:
                await client.call("events", lambda _: scope.cancel(), after=seen, follow=True)

    # Trouble.

    async def disturb(self) -> None:
        """Kill the server, or some devices, or both, a little later."""
        with trio.move_on_after(0.5):
            wanted = self.moves + self.chance.randrange(60)
            while self.moves < wanted:
                await self._moved.wait()
        what = self.chance.choice(["server", "devices", "both"])
        if what != "server":
            for member in self.chance.sample(self.members, len(self.members) // 4):
                member.cut()
        if what != "devices":
            await self.kill()
            await self.start()


def _start(command: Sequence[str], told: Path) -> subprocess.Popen[bytes]:
    with told.open("ab") as out:
        return subprocess.Popen(
            command, env=clean_environment(), stdin=subprocess.DEVNULL, stdout=out, stderr=subprocess.DEVNULL
        )
