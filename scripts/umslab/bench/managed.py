# SPDX-License-Identifier: Apache-2.0
"""The devices of `scripts/bench fleet`: come on board and become managed with as little work of their own as can be.

They say and confirm on the wire what a device of the product does (cacerts, key, request, enrolment, session, system
information, settings), and keep nothing but their certificate, so that it is the server that is measured.
"""

from __future__ import annotations

import json
import os
import sys
import time
from typing import TYPE_CHECKING, Any

import trio

from umslab.bench.pki import unit_id
from umslab.bench.worker import resident_bytes, say
from umslab_agent.link import Link, TlsIdentity, open_link
from umslab_certs.chain import load_pem_certificates, to_pem
from umslab_certs.csr import build_request
from umslab_certs.keys import KeyType, generate_key, key_to_pem
from umslab_certs.pkcs7 import decode_certificates
from umslab_certs.tls import pinned_context, use_identity
from umslab_protocol.values.host_port import HostPort
from umslab_protocol.wire import paths
from umslab_protocol.wire.basic_auth import format_basic
from umslab_protocol.wire.codec import JsonCodec
from umslab_protocol.wire.inventory import DeviceInfo, NetworkAdapter
from umslab_protocol.wire.messages import VERSIONS, Ack, Hello, PullSettings, PushSysinfo, SettingsMessage, Welcome
from umslab_protocol.wire.transfer import Wrapping, decode_body, encode_body
from umslab_runtime.clock import SystemClock
from umslab_runtime.connections import raise_descriptor_limit
from umslab_runtime.dial_tls import dial_tls
from umslab_runtime.http_client import HttpClientConnection
from umslab_runtime.net_trio import TrioNetwork
from umslab_runtime.session_host import SessionHost, open_session_host
from umslab_runtime.tuning import tune_interpreter

if TYPE_CHECKING:
    from pathlib import Path

    from umslab_protocol.machines.session import Received
    from umslab_runtime.http import Headers, Response

KEY = "bench-key"
_WITHIN = 60.0
_INFO, _PULL = 1, 2  # the ids of the two messages that make a device managed


def system_information(index: int) -> DeviceInfo:
    """What a device says about itself, as long as what devices of the product say."""
    mac = unit_id(index)
    return DeviceInfo(
        unitID=mac,
        mac=mac,
        firmwareVersion="12.8.4",
        productId="UD3-LX",
        networkName=f"ITC{mac}",
        deviceType="umslab UD3 (simulated)",
        osType="IGEL OS 12 (simulated)",
        cpuType="umslab CPU",
        cpuSpeed=2400,
        memorySize=8192,
        flashSize=32768,
        serialNumber=f"S{index:010}",
        networkAdapters=[NetworkAdapter(type="lan", mac=mac, name="enp1s0", state="up")],
        monitorVendor1="umslab",
        monitorModel1="M24 (simulated)",
        lastBoottime="2026-01-01 08:00",
    )


class _Device:
    """One session; `managed` is set when the server knows what it is, and it has what it is to have."""

    __slots__ = ("_index", "_missing", "link", "managed")

    def __init__(self, index: int, link: Link) -> None:
        self._index = index
        self.link = link
        self._missing = {_INFO, _PULL}
        self.managed: trio.Event | None = trio.Event()

    async def received(self, received: Received) -> None:
        """Answer."""
        message, pump = received.message, self.link.pump
        if isinstance(message, Welcome):
            pump.send(PushSysinfo(id=_INFO, info=system_information(self._index)))
            pump.send(PullSettings(id=_PULL))
        elif isinstance(message, SettingsMessage):
            pump.send(Ack(re=message.id))
        answers = getattr(message, "re", None)
        if self.managed is not None and answers in self._missing and isinstance(message, Ack | SettingsMessage):
            self._missing.discard(answers)
            if not self._missing:
                self.managed.set()

    async def live(self) -> None:
        """Be there until the session ends."""
        await self.link.pump.run(self.link.first_bytes, self.received)
        await self.link.stream.aclose()


class _Fleet:
    """All devices, and what they share."""

    def __init__(self, folder: Path, host: SessionHost, nursery: trio.Nursery) -> None:
        self._folder = folder
        self._host = host
        self._nursery = nursery
        self._network, self._codec = TrioNetwork(), JsonCodec()
        self._context = pinned_context(load_pem_certificates((folder / "root.pem").read_bytes(), "root"))
        self._plain = pinned_context(load_pem_certificates((folder / "root.pem").read_bytes(), "root"))
        self._devices: list[_Device] = []

    async def run(self, order: dict[str, Any]) -> float:
        """Let devices come, so many at a time; return the seconds until the last one is managed."""
        gate = trio.CapacityLimiter(order["parallel"])
        target = HostPort("127.0.0.1", order["port"])

        async def one(index: int) -> None:
            async with gate:
                if order["enrol"]:
                    await self._enrol(index, target)
                await self._connect(index, target)

        began = time.perf_counter()
        async with trio.open_nursery() as coming:
            for index in range(order["first"], order["first"] + order["count"]):
                coming.start_soon(one, index)
        return time.perf_counter() - began

    async def _enrol(self, index: int, target: HostPort) -> None:
        cacerts = await self._ask(target, "GET", "cacerts")
        assert decode_certificates(decode_body(cacerts.body))
        key = generate_key(KeyType.P256)
        request = encode_body(build_request(unit_id(index), key), Wrapping.ONE_LINE, "CERTIFICATE REQUEST")
        headers = [("Content-Type", "application/pkcs10"), ("Authorization", format_basic("", KEY))]
        answer = await self._ask(target, "POST", "simpleenroll", headers, request)
        assert answer.status == 200, answer
        issued = decode_certificates(decode_body(answer.body))
        (self._folder / f"device-{index}.pem").write_bytes(key_to_pem(key) + to_pem(issued))

    async def _ask(
        self, target: HostPort, method: str, operation: str, headers: Headers | None = None, body: bytes | None = None
    ) -> Response:
        stream = await dial_tls(self._network, target, self._plain, within=_WITHIN)
        try:
            http = HttpClientConnection(stream, str(target))
            return await http.request(method, f"{paths.EST}/{operation}", headers=headers, body=body)
        finally:
            await stream.aclose()

    async def _connect(self, index: int, target: HostPort) -> None:
        link = await open_link(
            self._network,
            target,
            TlsIdentity(self._context, lambda: use_identity(self._context, self._folder / f"device-{index}.pem")),
            hello=Hello(versions=list(VERSIONS), unitID=unit_id(index), firmwareVersion="12.8.4", boot="1"),
            key=os.urandom(16),
            codec=self._codec,
            host=self._host,
        )
        device = _Device(index, link)
        self._devices.append(device)
        self._nursery.start_soon(device.live)
        assert device.managed is not None
        await device.managed.wait()
        device.managed = None

    def drop(self) -> None:
        """Pull all plugs."""
        for device in self._devices:
            device.link.stream.abort()
        self._devices.clear()


def connect(folder: Path) -> None:
    """Be the devices until standard input ends."""

    async def main() -> None:
        raise_descriptor_limit()
        async with open_session_host(SystemClock(), write_seconds=60) as host, trio.open_nursery() as nursery:
            fleet = _Fleet(folder, host, nursery)
            tune_interpreter()
            while line := await trio.to_thread.run_sync(sys.stdin.readline):
                order = json.loads(line)
                if order["do"] == "come":
                    say(seconds=await fleet.run(order))
                elif order["do"] == "drop":
                    fleet.drop()
                    say(dropped=True)
                else:
                    say(memory=resident_bytes())
            nursery.cancel_scope.cancel()

    trio.run(main)
