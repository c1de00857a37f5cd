# SPDX-License-Identifier: Apache-2.0
"""Runs inside a network namespace of a test: dials what it is told and counts the packets that leave.

Reads a JSON list of jobs from standard input, writes a JSON list of results to standard output.
"""

from __future__ import annotations

import os
import socket
import sys
import tempfile
from ipaddress import ip_address
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import msgspec
import trio
import trio.testing

from umslab_agent.contexts import TlsContexts
from umslab_agent.folder import DeviceFolder
from umslab_agent.onboarding import Onboarding, World
from umslab_agent.persona import derive_persona
from umslab_agent.trust import TrustMode
from umslab_certs.authority import create_root
from umslab_certs.identity import save_identity
from umslab_certs.keys import KeyType
from umslab_certs.names import subject_names
from umslab_certs.tls import server_context
from umslab_protocol.values.firmware import DEFAULT_FIRMWARE
from umslab_protocol.values.host_port import HostPort
from umslab_protocol.values.unit_id import UnitId
from umslab_protocol.wire.codec import JsonCodec
from umslab_runtime.clock import SystemClock
from umslab_runtime.executor import InlineExecutor
from umslab_runtime.net_trio import TrioNetwork
from umslab_runtime.network import DialError, Listener
from umslab_runtime.policy import TargetPolicy, TargetRefusedError
from umslab_runtime.session_host import open_session_host

if TYPE_CHECKING:
    import ssl

PATIENCE = 2.0


class Job(msgspec.Struct, frozen=True):
    """One thing to try."""

    do: Literal["dial", "wait", "plain", "redirect"]
    """Dial to the end; dial until packets must have left; call without umslab; be a device that is redirected."""
    host: str
    owned: tuple[str, ...] = ()
    unit_id: str | None = None


class Result(msgspec.Struct, frozen=True):
    """What became of it."""

    outcome: str
    packets: dict[str, int]
    """How many left, by interface."""


def sent_packets() -> dict[str, int]:
    """The counters of all interfaces of this namespace."""
    return {
        interface.name: int((interface / "statistics" / "tx_packets").read_text())
        for interface in Path("/sys/class/net").iterdir()
        if (interface / "statistics").is_dir()
    }


async def dial(job: Job) -> str:
    """Dial through the one door."""
    network = TrioNetwork(TargetPolicy(owned=frozenset(ip_address(address) for address in job.owned)))
    unit_id = None if job.unit_id is None else UnitId(job.unit_id)
    transport = None
    try:
        with trio.move_on_after(PATIENCE):
            transport = await network.dial(HostPort(job.host, 8443), unit_id=unit_id)
    except TargetRefusedError as error:
        return f"refused: {error}"
    except DialError as error:
        return f"failed: {error}"
    if transport is None:
        return "no answer"
    transport.abort()
    return "connected"


async def wait(job: Job) -> str:
    """Dial an address that does not answer, for as long as it takes to have sent something."""
    outcomes = ["waiting"]

    async def attempt() -> None:
        outcomes.append(await dial(job))

    async with trio.open_nursery() as nursery:
        nursery.start_soon(attempt)
        await trio.testing.wait_all_tasks_blocked()
        nursery.cancel_scope.cancel()
    return outcomes[-1]


async def plain(job: Job) -> str:
    """Connect an ordinary socket, to show that the counters would tell."""
    await trio.lowlevel.checkpoint()
    with socket.socket() as sock:
        sock.setblocking(False)
        sock.connect_ex((job.host, 8443))
    return "tried"


async def redirect(job: Job) -> str:
    """Be a new device whose server, here on loopback, sends it somewhere else."""
    location = f"Location: https://{job.host}:8443/device-connector/device/.well-known/est/cacerts"
    answer = f"HTTP/1.1 302 Found\r\n{location}\r\nContent-Length: 0\r\n\r\n".encode()
    with tempfile.TemporaryDirectory() as name:
        folder, now = Path(name), SystemClock().utc()
        root = create_root("umslab lab root test", KeyType.P256, now=now)
        certificate, key = root.issue_server(subject_names(["localhost"]), KeyType.P256, now=now)
        save_identity(folder / "server.pem", key, [certificate, root.certificate])
        listener = await TrioNetwork().listen("127.0.0.1", 0)
        async with trio.open_nursery() as nursery, open_session_host(SystemClock(), write_seconds=5) as host:
            nursery.start_soon(_answer_all, listener, server_context(folder / "server.pem", []), answer)
            world = World(
                network=TrioNetwork(),
                clock=SystemClock(),
                executor=InlineExecutor(),
                contexts=TlsContexts(),
                codec=JsonCodec(),
                host=host,
                entropy=os.urandom,
            )
            onboarding = Onboarding(
                derive_persona(1, 1, firmware=DEFAULT_FIRMWARE),
                DeviceFolder(folder),
                HostPort("127.0.0.1", listener.address.port),
                world,
                trust_mode=TrustMode(),
                auth_key=None,
                key_type=KeyType.P256,
            )
            failure = await onboarding.establish_trust()
            nursery.cancel_scope.cancel()
        listener.close()
    return "followed" if failure is None else failure.detail


async def _answer_all(listener: Listener, context: ssl.SSLContext, answer: bytes) -> None:
    while True:
        stream = (await listener.accept()).wrap_tls(context, server_side=True)
        await stream.do_handshake()
        await stream.receive_some()
        await stream.send_all(answer)
        await stream.aclose()


async def run(job: Job) -> Result:
    """Do one job between two looks at the counters."""
    ways = {"dial": dial, "wait": wait, "plain": plain, "redirect": redirect}
    before = sent_packets()
    with trio.fail_after(5 * PATIENCE):
        outcome = await ways[job.do](job)
    after = sent_packets()
    return Result(outcome, {name: after[name] - before[name] for name in after})


async def main() -> list[Result]:
    """Do all jobs, one after the other."""
    jobs = msgspec.json.decode(sys.stdin.buffer.read(), type=list[Job])
    return [await run(job) for job in jobs]


if __name__ == "__main__":
    sys.stdout.buffer.write(msgspec.json.encode(trio.run(main)))
