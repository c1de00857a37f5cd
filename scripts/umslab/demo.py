# SPDX-License-Identifier: Apache-2.0
"""The demo: a server, 25 devices that come on board, a restart under them, and three things that must not work.

Everything runs on loopback in a temporary folder and is gone afterwards. The server is the real `umslab serve` in a
process of its own; the devices are the real devices, all in this process.
"""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from collections import Counter
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, Self

import trio
from rich.console import Console
from rich.live import Live
from rich.table import Table

from umslab.one_device import DeviceOptions, make_device, open_world
from umslab_agent.folder import DeviceFolder
from umslab_agent.persona import derive_persona
from umslab_agent.trust import TrustMode
from umslab_protocol.machines.device_life import RetryPolicy, State
from umslab_protocol.values.fingerprint import CommunicationToken
from umslab_protocol.values.firmware import DEFAULT_FIRMWARE
from umslab_protocol.values.host_port import parse_host_port
from umslab_runtime.control import connect_control

if TYPE_CHECKING:
    from collections.abc import Callable

    from umslab_agent.device import Change, Device
    from umslab_agent.onboarding import World
    from umslab_protocol.values.failure import Failure

DEVICES = 25
STEP_SECONDS = 60.0
_START_SECONDS = 60.0
_PATIENT = RetryPolicy(first=0.3, most=3.0, onboarding=True)
_ONCE = RetryPolicy(connection=False)


class DemoFailedError(Exception):
    """A step did not do what it must; the message says which."""


@dataclass
class Server:
    """A `umslab serve` process."""

    folder: Path
    port: int = 0
    process: subprocess.Popen[bytes] | None = None
    about: dict[str, Any] = field(default_factory=dict)

    async def start(self) -> None:
        """Start it, wait until it accepts connections."""
        ready = self.folder / "ready.json"
        ready.unlink(missing_ok=True)
        command = [sys.executable, "-m", "umslab", "serve", "--state", str(self.folder), "--port", str(self.port)]
        log = (self.folder / "serve.log").open("ab")
        with log:
            self.process = _start_process([*command, "--ready-file", str(ready)], log)
        with trio.move_on_after(_START_SECONDS):
            while not ready.exists():
                if self.process.poll() is not None:
                    raise DemoFailedError(f"the server ended at once:\n{(self.folder / 'serve.log').read_text()}")
                await trio.sleep(0.05)
            self.about = json.loads(ready.read_text())
            self.port = parse_host_port(self.about["addresses"][0]).port
            return
        raise DemoFailedError(f"the server was not ready within {_START_SECONDS:g} s")

    async def stop(self, number: signal.Signals = signal.SIGTERM) -> None:
        """Stop it, and wait until it is gone."""
        if self.process is not None:
            self.process.send_signal(number)
            await trio.to_thread.run_sync(self.process.wait, abandon_on_cancel=True)
            self.process = None

    def kill(self) -> None:
        """Leave nothing running, whatever happened."""
        if self.process is not None and self.process.poll() is None:
            self.process.kill()
            self.process.wait()

    async def ask(self, name: str, **args: Any) -> Any:
        """Ask over the control socket."""
        async with connect_control(Path(self.about["control"])) as client:
            return await client.call(name, **args)


class Show:
    """Tells the story: a live table on a terminal, plain lines elsewhere."""

    def __init__(self) -> None:
        self.console = Console(highlight=False)
        self.changes: dict[str, Change] = {}
        self._live: Live | None = None
        self.results: list[tuple[str, str]] = []
        self._changed = trio.Event()

    def __enter__(self) -> Self:
        if self.console.is_terminal:
            self._live = Live(self._table(), console=self.console, refresh_per_second=8, transient=True)
            self._live.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self._live is not None:
            self._live.stop()

    def step(self, text: str) -> None:
        """Begin a step."""
        self.console.print(f"[bold]{text}[/bold]" if self.console.is_terminal else f"== {text}")

    def result(self, what: str, text: str) -> None:
        """End a step well."""
        self.results.append((what, text))
        self.console.print(f"   {text}")

    def note(self, unit_id: str, change: Change) -> None:
        """Take a device's change."""
        self.changes[unit_id] = change
        self._changed.set()
        self._changed = trio.Event()
        if self._live is not None:
            self._live.update(self._table())

    async def until(self, holds: Callable[[Counter[str]], bool]) -> None:
        """Wait until the counts of the states are as wanted."""
        while True:
            changed = self._changed
            if holds(self.count()):
                return
            await changed.wait()

    def count(self) -> Counter[str]:
        """Devices by state."""
        return Counter("managed" if change.managed else str(change.state) for change in self.changes.values())

    def summary(self) -> None:
        """Print what was shown."""
        table = Table(title="what the demo showed", title_justify="left")
        table.add_column("step")
        table.add_column("result")
        for row in self.results:
            table.add_row(*row)
        self.console.print(table)

    def _table(self) -> Table:
        table = Table(box=None, pad_edge=False)
        for heading in ("unit ID", "state", "unit ID ", "state "):
            table.add_column(heading, no_wrap=True)
        cells = [
            (unit_id, "managed" if change.managed else str(change.state))
            for unit_id, change in sorted(self.changes.items())
        ]
        half = (len(cells) + 1) // 2
        for index in range(half):
            right = cells[half + index] if half + index < len(cells) else ("", "")
            table.add_row(*cells[index], *right)
        return table


async def run(path: Path, show: Show) -> None:
    """Run the demo in an empty folder. Raises `DemoFailedError`."""
    server, rogue = Server(path / "ums"), Server(path / "rogue")
    for one in (server, rogue):
        one.folder.mkdir()
    try:
        async with open_world() as world, trio.open_nursery() as nursery:
            demo = _Demo(path, show, world=world, nursery=nursery, server=server, rogue=rogue)
            for step in demo.steps():
                with trio.move_on_after(STEP_SECONDS) as patience:
                    await step()
                if patience.cancelled_caught:
                    raise DemoFailedError(f"a step took longer than {STEP_SECONDS:g} s; states: {dict(show.count())}")
            nursery.cancel_scope.cancel()
        await server.stop()
        await rogue.stop()
    finally:
        server.kill()
        rogue.kill()


class _Demo:
    def __init__(
        self, path: Path, show: Show, *, world: World, nursery: trio.Nursery, server: Server, rogue: Server
    ) -> None:
        self._path = path
        self._show = show
        self._world = world
        self._nursery = nursery
        self._server = server
        self._rogue = rogue
        self._running: list[tuple[Device, DeviceFolder, trio.CancelScope]] = []

    def steps(self) -> list[Callable[[], Any]]:
        return [
            self._start, self._on_board, self._restart, self._recycle_bin, self._wrong_token, self._rogue_root,
        ]  # fmt: skip

    async def _start(self) -> None:
        self._show.step("1. starting a UMS (its RSA 4096 certificates take a moment)")
        await self._server.start()
        about = self._server.about
        self._show.result("a UMS", f"listening on {about['addresses'][0]}, communication token {about['token']}")

    async def _on_board(self) -> None:
        self._show.step(f"2. {DEVICES} devices come on board, each with a one-time key of its own")
        keys = await self._server.ask("keys.create", kind="one-time", count=DEVICES)
        began = time.monotonic()
        for index, key in enumerate(keys):
            device, folder = self._make(index, auth_key=key["secret"], policy=_PATIENT)
            scope = trio.CancelScope()
            self._running.append((device, folder, scope))
            self._nursery.start_soon(_live, device, scope)
        await self._until_managed(DEVICES)
        serials = {one["serial"] for device in await self._devices() for one in device["certificates"]}
        if len(serials) != DEVICES:
            raise DemoFailedError(f"{DEVICES} devices have {len(serials)} certificates")
        text = (
            f"{DEVICES} managed after {time.monotonic() - began:.1f} s, with {DEVICES} distinct keys and certificates"
        )
        self._show.result("coming on board", text)

    async def _restart(self) -> None:
        self._show.step("3. the server is killed and started again under them")
        await self._server.stop(signal.SIGKILL)
        await self._show.until(lambda counts: counts["managed"] == 0)
        began = time.monotonic()
        await self._server.start()
        await self._until_managed(DEVICES)
        keys = await self._server.ask("keys.list")
        if any(key["uses"] != 1 for key in keys):
            raise DemoFailedError("a key was used more than once")
        text = f"all {DEVICES} managed again after {time.monotonic() - began:.1f} s, none enrolled anew"
        self._show.result("restart", text)

    async def _recycle_bin(self) -> None:
        device, folder, scope = self._running[0]
        unit_id = device.persona.unit_id
        self._show.step(f"4. {unit_id} is deleted into the recycle bin, reset, and tries to enrol again")
        await self._server.ask("devices.delete", unit_ids=[unit_id])
        scope.cancel()
        folder.forget()
        (key,) = await self._server.ask("keys.create", kind="one-time")
        failure = await self._expect_failure(0, auth_key=key["secret"])
        self._expect_code(failure, 38)
        self._show.result("recycle bin", f"refused, IGEL code 38: {failure.detail}")

    async def _wrong_token(self) -> None:
        self._show.step("5. a device was given a wrong communication token")
        wrong = CommunicationToken("0123456789ABCDEF")
        failure = await self._expect_failure(DEVICES, auth_key="unused", trust_mode=TrustMode(token=wrong))
        self._expect_code(failure, 37)
        self._show.result("wrong token", f"refused by the device, IGEL code 37: {failure.detail}")

    async def _rogue_root(self) -> None:
        device, _, scope = self._running[1]
        self._show.step(f"6. a rogue server with a root of its own answers {device.persona.unit_id}")
        await self._rogue.start()
        scope.cancel()
        failure = await self._expect_failure(1, server=self._rogue)
        self._expect_code(failure, 46)
        self._show.result("rogue root", f"refused by the device, IGEL code 46: {failure.detail}")

    # Helpers.

    def _make(
        self,
        index: int,
        *,
        auth_key: str | None = None,
        policy: RetryPolicy = _ONCE,
        trust_mode: TrustMode | None = None,
        server: Server | None = None,
    ) -> tuple[Device, DeviceFolder]:
        folder = DeviceFolder(self._path / f"device-{index}")
        folder.path.mkdir(exist_ok=True)
        persona = derive_persona(2026, index, firmware=DEFAULT_FIRMWARE)
        token = CommunicationToken.parse(self._server.about["token"])
        options = DeviceOptions(
            target=parse_host_port(f"localhost:{(server or self._server).port}"),
            trust_mode=trust_mode or TrustMode(token=token),
            auth_key=auth_key,
            policy=policy,
        )
        device = make_device(self._world, folder, persona, options, partial(self._show.note, persona.unit_id))
        return device, folder

    async def _expect_failure(self, index: int, **details: Any) -> Failure:
        device, _ = self._make(index, **details)
        if await device.run() is not State.FAILED or device.failure is None:
            raise DemoFailedError(f"{device.persona.unit_id} came on board, which must not happen")
        return device.failure

    def _expect_code(self, failure: Failure, code: int) -> None:
        if failure.vendor_code != code:
            raise DemoFailedError(f"expected IGEL code {code}, but got {failure}")

    async def _until_managed(self, wanted: int) -> None:
        await self._show.until(lambda counts: counts["managed"] >= wanted)

    async def _devices(self) -> list[dict[str, Any]]:
        unit_ids = [one["unit_id"] for one in await self._server.ask("devices.list")]
        return [await self._server.ask("devices.show", unit_id=unit_id) for unit_id in unit_ids]


def _start_process(command: list[str], log: BinaryIO) -> subprocess.Popen[bytes]:
    return subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log)  # noqa: S603 - ourselves


async def _live(device: Device, scope: trio.CancelScope) -> None:
    with scope:
        await device.run()
