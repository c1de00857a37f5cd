# SPDX-License-Identifier: Apache-2.0
"""The demo's steps, in order; each does something real and checks what came of it."""

from __future__ import annotations

import signal
import time
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

import trio

from umslab.demo.older import older_device
from umslab.demo.process import DemoFailedError, Server
from umslab.one_device import DeviceOptions, make_device, open_world
from umslab_agent.behaviour import DeviceBehaviour
from umslab_agent.folder import DeviceFolder
from umslab_agent.os11.registering import Wish
from umslab_agent.persona import derive_persona
from umslab_agent.trust import TrustMode
from umslab_protocol.machines.device_life import State
from umslab_protocol.machines.retrying import RetryPolicy
from umslab_protocol.values.fingerprint import CommunicationToken
from umslab_protocol.values.firmware import DEFAULT_FIRMWARE
from umslab_protocol.values.host_port import parse_host_port

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from pathlib import Path

    from umslab.demo.show import Show
    from umslab_agent.living import LivingDevice
    from umslab_agent.onboarding import World
    from umslab_protocol.values.failure import Failure

DEVICES = 25
OLDER = 5
STEP_SECONDS = 60.0
_LOOK_EVERY = 0.1
_PATIENT = RetryPolicy(first=0.3, most=3.0, onboarding=True)
_ONCE = RetryPolicy(connection=False)
_QUICK = DeviceBehaviour(boot_seconds=2.0)
_SITES = ("HQ", "Branch")
_PAGE = "sessions.browser0.startpage"
_LOCK = "system.screenlock.timeout"


async def run(path: Path, show: Show) -> None:
    """Run the demo in an empty folder. Raises `DemoFailedError`."""
    server, rogue = Server(path / "ums"), Server(path / "rogue")
    for one in (server, rogue):
        one.folder.mkdir()
    try:
        async with open_world() as world, trio.open_nursery() as nursery:
            demo = _Demo(path, show, world=world, nursery=nursery, server=server, rogue=rogue)
            for number, step in enumerate(demo.steps(), 1):
                with trio.move_on_after(STEP_SECONDS) as patience:
                    await step(f"{number}. ")
                if patience.cancelled_caught:
                    raise DemoFailedError(f"a step took longer than {STEP_SECONDS:g} s; states: {dict(show.count())}")
            nursery.cancel_scope.cancel()
        await server.stop()
        await rogue.stop()
    finally:
        server.kill()
        rogue.kill()


@dataclass
class _Running:
    """A device that lives beside the story."""

    device: LivingDevice
    folder: DeviceFolder
    scope: trio.CancelScope

    @property
    def unit_id(self) -> str:
        return self.device.persona.unit_id


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
        self._running: list[_Running] = []

    def steps(self) -> list[Callable[[str], Any]]:
        return [
            self._start, self._prepare, self._on_board, self._change_settings, self._reboot_wave, self._rotate_root,
            self._restart, self._older_ones, self._release, self._recycle_bin, self._wrong_token, self._rogue_root,
        ]  # fmt: skip

    async def _start(self, number: str) -> None:
        self._show.step(f"{number}starting a UMS (its RSA 4096 certificates take a moment)")
        await self._server.start()
        about = self._server.about
        self._show.result("a UMS", f"listening on {about['addresses'][0]}, communication token {about['token']}")

    async def _prepare(self, number: str) -> None:
        self._show.step(f"{number}directories, a rule that places devices by structure tag, a profile for each")
        ask = self._server.ask
        for site in _SITES:
            await ask("dirs.create", path=f"/{site}")
            await ask("rules.create", name=site, criteria={"structure_tag": site}, directory=f"/{site}")
            await ask("profiles.create", name=f"{site} desk", settings={_PAGE: f"https://{site.lower()}.example"})
            await ask("assignments.assign", type="profile", which=f"{site} desk", receivers=[f"/{site}"])
        await ask("profiles.create", name="security", kind="priority", settings={_LOCK: "10"})
        await ask("assignments.assign", type="profile", which="security", receivers=["/"])
        self._show.result("profiles", "one a site by directory, and a priority profile for all")

    async def _on_board(self, number: str) -> None:
        self._show.step(f"{number}{DEVICES} devices come on board, each with a one-time key of its own")
        keys = await self._server.ask("keys.create", kind="one-time", count=DEVICES)
        began = time.monotonic()
        for index, key in enumerate(keys):
            device, folder = self._make(index, auth_key=key["secret"], policy=_PATIENT)
            running = _Running(device, folder, trio.CancelScope())
            self._running.append(running)
            self._nursery.start_soon(_live, running)
        await self._until_managed(DEVICES)
        devices = await self._devices()
        serials = {one["serial"] for device in devices for one in device["certificates"]}
        if len(serials) != DEVICES:
            raise DemoFailedError(f"{DEVICES} devices have {len(serials)} certificates")
        for running in self._running:
            shown = await self._server.ask("settings.show", unit_id=running.unit_id)
            wanted = f"https://{running.device.persona.structure_tag.lower()}.example"
            if {_PAGE: wanted, _LOCK: "10"} != {one["name"]: one["value"] for one in shown["settings"]}:
                raise DemoFailedError(f"{running.unit_id} has the wrong settings: {shown['settings']}")
        text = (
            f"{DEVICES} managed after {time.monotonic() - began:.1f} s, with {DEVICES} distinct keys and certificates, "
            "each in its directory with its settings"
        )
        self._show.result("coming on board", text)

    async def _change_settings(self, number: str) -> None:
        self._show.step(f"{number}one setting changes for all of them")
        began = time.monotonic()
        await self._server.ask("profiles.edit", which="security", values={_LOCK: "5"})
        await self._until_devices(lambda one: one["config_changes"] == "APPLIED" and one["settings_version"] == 2)
        self._show.result("settings", f"all {DEVICES} have confirmed after {time.monotonic() - began:.1f} s: APPLIED")

    async def _reboot_wave(self, number: str) -> None:
        self._show.step(f"{number}a reboot of all of them (each takes two seconds)")
        began = time.monotonic()
        booted = {one["unit_id"]: one["booted_at"] for one in await self._server.ask("devices.list")}
        done = await self._server.ask("command.start", command="reboot", selector={"everyone": True})
        results = await self._server.ask("command.results", exec_id=done["exec_id"])
        good = sum(task["state"] == "SUCCESS" for task in results["tasks"])
        if good != DEVICES:
            raise DemoFailedError(f"{good} of {DEVICES} devices took the command")
        await self._until_devices(lambda one: one["state"] == "online" and one["booted_at"] != booted[one["unit_id"]])
        await self._until_managed(DEVICES)
        self._show.result("reboot", f"all {DEVICES} rebooted and managed again after {time.monotonic() - began:.1f} s")

    async def _rotate_root(self, number: str) -> None:
        self._show.step(f"{number}a new web root: announced to all, then switched")
        ask, old = self._server.ask, self._server.about["token"]
        await ask("certs.announce-root")
        await self._until(lambda: ask("certs.rotation"), lambda phase: not phase["behind"])
        await ask("certs.switch-root")
        token = (await ask("certs.show"))["token"]
        if token == old:
            raise DemoFailedError("the web root is still the old one")
        self._show.result("web root", f"{DEVICES} devices held both, then the new one: token {token}")

    async def _restart(self, number: str) -> None:
        self._show.step(f"{number}the server is killed and started again under them")
        await self._server.stop(signal.SIGKILL)
        await self._show.until(lambda counts: counts["managed"] == 0)
        began = time.monotonic()
        await self._server.start()
        await self._until_managed(DEVICES)
        keys = await self._server.ask("keys.list")
        if any(key["uses"] != 1 for key in keys):
            raise DemoFailedError("a key was used more than once")
        text = (
            f"all {DEVICES} managed again after {time.monotonic() - began:.1f} s under the new root, none enrolled anew"
        )
        self._show.result("restart", text)

    async def _older_ones(self, number: str) -> None:
        self._show.step(f"{number}{OLDER} devices of OS 11 register with a UMS user; then one loses its power")
        ask = self._server.ask
        user = await ask("accounts.create", name="installer")
        began = time.monotonic()
        scopes = [trio.CancelScope() for _ in range(OLDER)]
        for index, scope in enumerate(scopes):
            self._nursery.start_soon(self._live_older, index, Wish(user="installer", password=user["password"]), scope)
        await self._until_older(lambda ones: [one["state"] for one in ones] == ["online"] * OLDER)
        await ask("profiles.edit", which="security", values={_LOCK: "3"})
        await self._until_devices(lambda one: one["config_changes"] == "APPLIED")
        self._show.result(
            "OS 11", f"{OLDER} answer the online check, and all {DEVICES + OLDER} of both generations have confirmed a "
            f"setting after {time.monotonic() - began:.1f} s",
        )  # fmt: skip
        scopes[0].cancel()
        began = time.monotonic()
        await self._until_older(
            lambda ones: sorted(one["state"] for one in ones) == ["offline"] + ["online"] * (OLDER - 1)
        )
        self._show.result("online check", f"the one without power is offline after {time.monotonic() - began:.1f} s")

    async def _live_older(self, index: int, wish: Wish, scope: trio.CancelScope) -> None:
        (server,) = self._server.about["os11_addresses"]
        with scope:
            async with older_device(
                self._world, self._path, index, server=server, wish=wish, structure_tag=_SITES[index % len(_SITES)],
                on_change=self._show.note,
            ) as device:  # fmt: skip
                await device.run()

    async def _until_older(self, holds: Callable[[list[dict[str, Any]]], bool]) -> None:
        """Wait until the server says this of the OS 11 devices."""
        devices = partial(self._server.ask, "devices.list")
        await self._until(devices, lambda ones: holds([one for one in ones if one["generation"] == "11"]))

    async def _release(self, number: str) -> None:
        running = self._running[-1]
        self._show.step(f"{number}{running.unit_id} is deleted for good")
        await self._server.ask("devices.purge", unit_ids=[running.unit_id])
        await self._show.until(lambda counts: counts[State.RELEASED] == 1)
        if running.folder.load_identity() is not None or running.folder.load_trust()[0]:
            raise DemoFailedError("the released device still has its certificate")
        why = await self._server.ask("why", unit_id=running.unit_id)
        self._show.result("released", f"it was told, and has forgotten certificate and pins. The server: {why[0]}")

    async def _recycle_bin(self, number: str) -> None:
        running = self._running[0]
        self._show.step(f"{number}{running.unit_id} is deleted into the recycle bin, reset, and tries to enrol again")
        await self._server.ask("devices.delete", unit_ids=[running.unit_id])
        running.scope.cancel()
        running.folder.forget()
        (key,) = await self._server.ask("keys.create", kind="one-time")
        failure = await self._expect_failure(0, auth_key=key["secret"])
        self._expect_code(failure, 38)
        self._show.result("recycle bin", f"refused, IGEL code 38: {failure.detail}")

    async def _wrong_token(self, number: str) -> None:
        self._show.step(f"{number}a device was given a wrong communication token")
        wrong = CommunicationToken("0123456789ABCDEF")
        failure = await self._expect_failure(DEVICES, auth_key="unused", trust_mode=TrustMode(token=wrong))
        self._expect_code(failure, 37)
        self._show.result("wrong token", f"refused by the device, IGEL code 37: {failure.detail}")

    async def _rogue_root(self, number: str) -> None:
        running = self._running[1]
        self._show.step(f"{number}a rogue server with a root of its own answers at the address of the UMS")
        running.scope.cancel()
        await self._server.stop()
        self._rogue.port = self._server.port
        await self._rogue.start()
        failure = await self._expect_failure(1)
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
    ) -> tuple[LivingDevice, DeviceFolder]:
        folder = DeviceFolder(self._path / f"device-{index}")
        folder.path.mkdir(exist_ok=True)
        site = _SITES[index % len(_SITES)]
        persona = derive_persona(2026, index, firmware=DEFAULT_FIRMWARE, structure_tag=site)
        token = CommunicationToken.parse(self._server.about["token"])
        options = DeviceOptions(
            target=parse_host_port(f"localhost:{self._server.port}"),
            trust_mode=trust_mode or TrustMode(token=token),
            auth_key=auth_key,
            policy=policy,
            behaviour=_QUICK,
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

    async def _until_devices(self, holds: Callable[[dict[str, Any]], bool]) -> None:
        """Wait until the server says this of every device."""
        await self._until(lambda: self._server.ask("devices.list"), lambda devices: all(map(holds, devices)))

    async def _until(self, ask: Callable[[], Awaitable[Any]], holds: Callable[[Any], bool]) -> None:
        """Ask again and again, as an administrator would."""
        while not holds(await ask()):  # noqa: ASYNC110 - the other side is another process
            await trio.sleep(_LOOK_EVERY)

    async def _devices(self) -> list[dict[str, Any]]:
        unit_ids = [one["unit_id"] for one in await self._server.ask("devices.list")]
        return [await self._server.ask("devices.show", unit_id=unit_id) for unit_id in unit_ids]


async def _live(running: _Running) -> None:
    with running.scope:
        await running.device.run()
