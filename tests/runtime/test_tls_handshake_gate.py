# SPDX-License-Identifier: Apache-2.0
"""Tests of umslab_runtime.tls: the gate that keeps handshakes from stopping everything else."""

from __future__ import annotations

import ssl

import trio
from trio.testing import wait_all_tasks_blocked

from umslab_runtime.tls import (
    HandshakeGate,
)

from .carriers import PATIENCE, Carrier, MemoryCarrier, raw_tls_pair

Contexts = tuple[ssl.SSLContext, ssl.SSLContext]


class Turns(trio.abc.Instrument):
    """Counts what happens in each turn of the event loop."""

    def __init__(self) -> None:
        self.now = 0
        self.each: list[int] = []

    def before_io_wait(self, timeout: float) -> None:
        """A turn is over."""
        self.each.append(self.now)
        self.now = 0


class CountedStep:
    """The gate's step, counted."""

    def __init__(self, step: trio.CapacityLimiter, turns: Turns) -> None:
        self._step = step
        self._turns = turns

    async def __aenter__(self) -> None:
        await self._step.acquire()
        self._turns.now += 1

    async def __aexit__(self, *_: object) -> None:
        self._step.release()


async def test_gate_bounds_the_steps_of_a_turn(contexts: Contexts) -> None:
    """However many handshakes are ready together, a few steps are computed in one turn of the event loop."""
    gate, turns, carrier = HandshakeGate(4), Turns(), MemoryCarrier()
    gate.step = CountedStep(gate.step, turns)  # type: ignore[assignment]
    trio.lowlevel.add_instrument(turns)
    async with trio.open_nursery() as nursery:
        pairs = [await carrier.connect() for _ in range(40)]
        for client_end, _ in pairs:
            client = client_end.wrap_tls(contexts[1], server_side=False, server_hostname="ums.lab")
            nursery.start_soon(client.do_handshake)
        await wait_all_tasks_blocked()
        for _, server_end in pairs:
            nursery.start_soon(server_end.wrap_tls(contexts[0], server_side=True).do_handshake, gate)
    trio.lowlevel.remove_instrument(turns)

    assert max(turns.each) == 4
    assert sum(turns.each) >= 80


async def test_silent_peers_hold_nothing_of_the_gate(carrier: Carrier, contexts: Contexts) -> None:
    """Connections that say nothing do not keep a speaking one from its handshake."""
    gate = HandshakeGate(2)
    with trio.fail_after(PATIENCE):
        async with trio.open_nursery() as nursery:
            silent = [await carrier.connect() for _ in range(20)]
            for _, server_end in silent:
                nursery.start_soon(server_end.wrap_tls(contexts[0], server_side=True).do_handshake, gate)
            await wait_all_tasks_blocked()
            held = gate.step.borrowed_tokens
            async with raw_tls_pair(carrier, *contexts) as (client, server):
                nursery.start_soon(client.do_handshake)
                await server.do_handshake(gate)
                version = server.version
            for client_end, _ in silent:
                client_end.abort()
            nursery.cancel_scope.cancel()

    assert held == 0
    assert version == "TLSv1.3"
