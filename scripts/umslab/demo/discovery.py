# SPDX-License-Identifier: Apache-2.0
"""`umslab demo --discovery`: devices that know nothing find their UMS, by a real DHCP and name server.

Every device is a new one: it leases by itself, looks where the UMS is, registers automatically, and gives its address
back. All processes are the real ones, in a LAN of two network namespaces.
"""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from functools import partial
from typing import TYPE_CHECKING, Any

import trio

from umslab.demo.lan import CLIENT, SERVER, Dnsmasq, Lan, inside
from umslab.demo.process import DemoFailedError, Server
from umslab.dhcp.configurations import Scope, ServerKind, Wanted, configuration

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from pathlib import Path

    from umslab.demo.show import Show

STEP_SECONDS = 60.0
WEB_PORT = 8443
_FREE = "10.77.0.60"
_QUICK = ("--set", "certificates.root_key=p-256", "--set", "certificates.web_key=p-256", "--set", "os11.key=p-256")
_AUTOMATIC = ("--set", "enrolment.automatic=true")


async def run(path: Path, show: Show) -> None:
    """Run the demo in an empty folder. Raises `DemoFailedError`, and `KeyboardInterrupt` after a signal."""
    lan = Lan()
    (path / "ums").mkdir()
    server = Server(path / "ums", port=WEB_PORT, prefix=inside(lan.server))
    dnsmasq = Dnsmasq(lan, path)
    stopped = False

    async def stop_on_signal(scope: trio.CancelScope) -> None:
        nonlocal stopped
        with trio.open_signal_receiver(signal.SIGINT, signal.SIGTERM) as signals:
            async for _ in signals:
                stopped = True
                scope.cancel()

    try:
        lan.make()
        async with trio.open_nursery() as nursery:
            nursery.start_soon(stop_on_signal, nursery.cancel_scope)
            for number, step in enumerate(_Story(path, show, server, dnsmasq, lan).steps(), 1):
                with trio.move_on_after(STEP_SECONDS) as patience:
                    await step(f"{number}. ")
                if patience.cancelled_caught:
                    raise DemoFailedError(f"a step took longer than {STEP_SECONDS:g} s")
            await server.stop()
            nursery.cancel_scope.cancel()
    finally:
        server.kill()
        dnsmasq.stop()
        lan.remove()
    if stopped:
        raise KeyboardInterrupt


class _Story:
    def __init__(self, path: Path, show: Show, server: Server, dnsmasq: Dnsmasq, lan: Lan) -> None:
        self._path = path
        self._show = show
        self._server = server
        self._dnsmasq = dnsmasq
        self._lan = lan
        self._devices = 0

    def steps(self) -> list[Callable[[str], Awaitable[None]]]:
        return [
            self._start, self._option_224, self._exclusive, self._old_firmware, self._dns_only, self._wrong_server,
            self._empty_pool, self._switch_off,
        ]  # fmt: skip

    async def _start(self, number: str) -> None:
        self._show.step(f"{number}a LAN of two network namespaces; a UMS that registers automatically is in one")
        self._server.options = ("--listen", SERVER, "--allow-remote", *_QUICK, *_AUTOMATIC)
        await self._server.start()
        self._show.result("a UMS", f"listening on {self._server.about['addresses'][0]}, which no device knows")

    async def _option_224(self, number: str) -> None:
        self._show.step(f"{number}the DHCP server has option 224, and a structure tag in 226")
        await self._dnsmasq.restart(_lines(Wanted(SERVER, "HQ", scope=Scope.GLOBAL)))
        told = await self._device()
        self._expect(told, "dhcp224", "taken")
        devices = await self._server.ask("devices.list")
        if [one["structure_tag"] for one in devices] != ["HQ"]:
            raise DemoFailedError(f"the UMS should have one device with the tag HQ: {devices}")
        self._show.result("option 224", "leased, found, registered, managed; the UMS has its tag HQ")

    async def _exclusive(self, number: str) -> None:
        self._show.step(f"{number}option 43 is exclusive, and option 224 is wrong")
        vendor = _lines(Wanted(SERVER, exclusive=True, scope=Scope.VENDOR))
        await self._dnsmasq.restart(vendor + _lines(Wanted(CLIENT, scope=Scope.GLOBAL)))
        self._expect(await self._device(), "dhcp43", "taken")
        self._show.result("option 43", "sub-option 224 is taken; the wrong option 224 does not count (D5)")

    async def _old_firmware(self, number: str) -> None:
        self._show.step(f"{number}the same for firmware 11.03.500, as umslab dhcp lease sees it")
        done = await self._umslab("dhcp", "lease", "--interface", "eth0", "--firmware", "11.03.500", "--json")
        (client,) = json.loads(done.stdout)["lease"]["clients"]
        if client["igel"]["server"] != CLIENT:
            raise DemoFailedError(f"old firmware should read option 224 only: {client}")
        self._show.result("old firmware", f"reads option 224 only (D2, D3), and would go to {CLIENT}")

    async def _dns_only(self, number: str) -> None:
        self._show.step(f"{number}no option at all: DHCP names a name server and a search domain")
        await self._dnsmasq.restart(dns=True)
        self._expect(await self._device(), "dns", "taken")
        self._show.result("DNS", "igelrmserver below the search domain of the lease is taken (D1)")

    async def _wrong_server(self, number: str) -> None:
        self._show.step(f"{number}option 224 leads to a machine where no UMS is")
        await self._dnsmasq.restart(_lines(Wanted(CLIENT, scope=Scope.GLOBAL)), dns=True)
        told = await self._device("--i-own", CLIENT)
        self._expect(told, "dhcp224", "unreachable")
        self._expect(told, "dns", "taken")
        self._show.result("a wrong server", "is left behind, and the next source asked (D13)")

    async def _empty_pool(self, number: str) -> None:
        self._show.step(f"{number}the pool has one address, and another client holds it")
        await self._dnsmasq.restart(_lines(Wanted(SERVER)), pool=("10.77.0.100", "10.77.0.100"))
        other = ("dhcp", "lease", "--interface", "eth0", "--hold")
        async with trio.open_nursery() as nursery:
            await nursery.start(self._hold, other)
            told = await self._device("--dhcp-timeout", "2", "--static-fallback", _FREE)
            nursery.cancel_scope.cancel()
        reasons = [one["data"]["reason"] for one in told if one.get("event") == "dhcp"]
        if reasons != ["nobody-offered", "static", "informed"]:
            raise DemoFailedError(f"expected static addressing after no offer, but got {reasons}")
        self._show.result("no free address", f"{_FREE} is set by hand, and the options come all the same (INFORM)")

    async def _switch_off(self, number: str) -> None:
        self._show.step(f"{number}the switch is off, as it is by default: a new device comes")
        await self._server.stop()
        self._server.options = self._server.options[: -len(_AUTOMATIC)]
        await self._server.start()
        await self._dnsmasq.restart(_lines(Wanted(SERVER)))
        told = await self._device(fails=True)
        failure = told[-1]["failure"]
        if failure["vendor_code"] != 38:
            raise DemoFailedError(f"expected IGEL code 38, but got {failure}")
        if self._dnsmasq.leases.strip():
            raise DemoFailedError(f"not all addresses were given back: {self._dnsmasq.leases}")
        self._show.result("switched off", f"refused, IGEL code 38: {failure['detail']}")

    async def _device(self, *options: str, fails: bool = False) -> list[dict[str, Any]]:
        """Let a new device find its UMS; what it told."""
        self._devices += 1
        folder = self._path / f"device-{self._devices}"
        way = ("--dhcp-interface", "eth0", "--i-own", SERVER, "--state", str(folder), "--once", "--json")
        done = await self._umslab("device", *way, *options)
        told = [json.loads(line) for line in done.stdout.splitlines()]
        if not told or bool(told[-1].get("managed")) is fails:
            raise DemoFailedError(f"a device did not do what it must: {told[-1:]} {done.stderr.decode()}")
        return told

    def _expect(self, told: list[dict[str, Any]], source: str, reason: str) -> None:
        """Say how the source was judged, and insist on it."""
        for one in told:
            if one.get("event") == "discovery" and (one["data"]["source"], one["data"]["reason"]) == (source, reason):
                self._show.console.print(f"   {one['text']}", markup=False)
                return
        raise DemoFailedError(f"expected {reason} for {source}, but got {told}")

    async def _umslab(self, *arguments: str) -> subprocess.CompletedProcess[bytes]:
        return await trio.run_process(
            [*inside(self._lan.client), sys.executable, "-m", "umslab", *arguments],
            capture_stdout=True, capture_stderr=True, check=False,
        )  # fmt: skip

    async def _hold(
        self, arguments: tuple[str, ...], task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED
    ) -> None:
        """Run a client until cancelled; started when it has its address."""
        command = [*inside(self._lan.client), sys.executable, "-m", "umslab", *arguments]
        async with trio.open_nursery() as nursery:
            await nursery.start(partial(trio.run_process, command, stdout=subprocess.DEVNULL))
            while not self._dnsmasq.leases.strip():  # noqa: ASYNC110 - the other side is another process
                await trio.sleep(0.02)
            task_status.started()


def _lines(wanted: Wanted) -> str:
    return configuration(wanted, ServerKind.DNSMASQ)
