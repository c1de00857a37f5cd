# SPDX-License-Identifier: Apache-2.0
"""The product's online check, and the devices that answer it, as workers of `scripts/bench sweep`."""

from __future__ import annotations

import json
import os
import random
import sys
import time
from collections import Counter
from typing import TYPE_CHECKING, Any

import trio

from umslab.bench.sweep import address, unit_id
from umslab.bench.worker import resident_bytes, say
from umslab_agent.answering import Answerer, Answering
from umslab_protocol.machines.online_check import CheckRules, Missed, OnlineCheck, Target
from umslab_protocol.values.unit_id import MacAddress
from umslab_protocol.wire.probes import NONCE_BYTES, read_online_answer, read_probe, write_online_answer
from umslab_runtime.clock import SystemClock
from umslab_runtime.net_trio import TrioNetwork
from umslab_runtime.streams import Address
from umslab_runtime.sweeping import Sweeping
from umslab_runtime.udp import UdpEndpoint

if TYPE_CHECKING:
    from pathlib import Path

    from umslab_protocol.machines.online_check import CheckEvent
    from umslab_protocol.values.unit_id import UnitId
    from umslab_runtime.udp import Received

_BURST, _PAUSE_SECONDS = 256, 0.01


class _Server:
    """Sweeps when told."""

    def __init__(self, nursery: trio.Nursery, endpoint: UdpEndpoint, order: dict[str, Any]) -> None:
        self._nursery = nursery
        self._targets = [Target(unit_id(index), address(index), order["port"]) for index in range(order["count"])]
        self._check = OnlineCheck(CheckRules(), reply_port=endpoint.address.port, entropy=os.urandom)
        self._sweeping = Sweeping(endpoint, self._check, clock=SystemClock(), on_event=self._note)
        self._online: set[str] = set()
        self._missed: list[str] = []
        self._memory = 0
        self._done = trio.Event()
        nursery.start_soon(self._sweeping.run)

    def _note(self, event: CheckEvent) -> None:
        if isinstance(event, Missed):
            self._missed.append(event.unit_id)
        else:
            self._online.add(event.unit_id)

    async def sweep(self, tries: int = 1) -> dict[str, Any]:
        self._check.rules = CheckRules(tries=tries)
        self._online.clear()
        self._missed.clear()
        began = time.perf_counter()
        await self._sweeping.sweep(self._targets)
        return {"seconds": time.perf_counter() - began, "online": len(self._online), "missed": self._missed}

    async def begin_flood(self) -> None:
        """Begin a sweep that nobody answers but forgers."""
        self._check.verdicts.clear()
        self._memory = resident_bytes()
        await self.sweep()
        self._done.set()

    async def end_flood(self) -> dict[str, Any]:
        await self._done.wait()
        grown = resident_bytes() - self._memory
        return {"changed": len(self._online), "grown": grown, "verdicts": dict(self._check.verdicts)}


def serve(folder: Path) -> None:
    """Be the server until standard input ends."""
    del folder

    async def main() -> None:
        endpoint = await TrioNetwork().udp("127.0.0.1", 0)
        async with trio.open_nursery() as nursery:
            server = _Server(nursery, endpoint, json.loads(await trio.to_thread.run_sync(sys.stdin.readline)))
            say(port=endpoint.address.port)
            while line := await trio.to_thread.run_sync(sys.stdin.readline):
                order = json.loads(line)
                if order.pop("do") == "sweep":
                    say(**await server.sweep(**order))
                elif order:
                    nursery.start_soon(server.begin_flood)
                    say()
                else:
                    say(**await server.end_flood())
            nursery.cancel_scope.cancel()

    trio.run(main)


class _LossyEndpoint(UdpEndpoint):
    """Loses a share of what comes and of what goes, and remembers whose it was."""

    def __init__(self, inner: UdpEndpoint) -> None:
        self._inner = inner
        self._chance = random.Random("umslab bench sweep")  # noqa: S311 - repeatable
        self.share = 0.0
        self.lost: Counter[str] = Counter()

    @property
    def address(self) -> Address:
        return self._inner.address

    def send_to(self, payload: bytes, to: Address, *, unit_id: UnitId | None = None, source: str = "") -> bool:
        if self.share and self._chance.random() < self.share:
            self.lost[read_online_answer(payload).unit_id] += 1
            return True
        return self._inner.send_to(payload, to, unit_id=unit_id, source=source)

    def receive_nowait(self, most: int) -> list[Received]:
        arrived = self._inner.receive_nowait(most)
        return [received for received in arrived if not self._loses(received)] if self.share else arrived

    def _loses(self, received: Received) -> bool:
        if self._chance.random() >= self.share:
            return False
        self.lost[read_probe(received.payload).unit_id or ""] += 1
        return True

    async def until_readable(self) -> None:
        await self._inner.until_readable()

    def close(self) -> None:
        self._inner.close()


def connect(folder: Path) -> None:
    """Be the devices until standard input ends."""
    del folder

    async def main() -> None:
        order = json.loads(await trio.to_thread.run_sync(sys.stdin.readline))
        door = await TrioNetwork().udp("0.0.0.0", 0, interface="lo")
        endpoint = _LossyEndpoint(door)
        answering = Answering(endpoint)
        for index in range(order["count"]):
            answering.join(_answerer(index))
        async with trio.open_nursery() as nursery:
            nursery.start_soon(answering.run)
            say(port=endpoint.address.port)
            while line := await trio.to_thread.run_sync(sys.stdin.readline):
                order = json.loads(line)
                if order["do"] == "lose":
                    endpoint.share = order["share"]
                    endpoint.lost.clear()
                elif order["do"] == "flood":
                    await _flood(door, order["port"], order["forged"], order["count"])
                say(lost=endpoint.lost)
            nursery.cancel_scope.cancel()

    trio.run(main)


def _answerer(index: int) -> Answerer:
    me = unit_id(index)
    return Answerer(
        unit_id=me, mac=MacAddress(me), name=f"ITC{me}", product="bench", firmware="11.10.210", address=address(index)
    )


async def _flood(endpoint: UdpEndpoint, port: int, forged: int, count: int) -> None:
    """Send answers with nonces of our own, no faster than somebody can count them."""
    for number in range(forged):
        answer = write_online_answer(unit_id(number % count), number.to_bytes(NONCE_BYTES, "big"))
        endpoint.send_to(answer, Address("127.0.0.1", port))
        if number % _BURST == 0:
            await trio.sleep(_PAUSE_SECONDS)
