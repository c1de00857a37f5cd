# SPDX-License-Identifier: Apache-2.0
"""Devices that answer probes, in a process of their own: `with neighbours(count) as port`.

On loopback they have the addresses 127.3.0.1, 127.3.0.2 and so on, or all share one; over TCP the first answers.
"""

from __future__ import annotations

import subprocess
import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING

import trio

from tests.support.process import clean_environment
from umslab_agent.answering import Answerer, Answering
from umslab_protocol.values.unit_id import MacAddress, UnitId
from umslab_runtime.net_trio import TrioNetwork
from umslab_runtime.policy import TargetPolicy

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence


def unit_id(number: int) -> UnitId:
    """The unit ID of the device with this number, from 1 on."""
    return UnitId(f"0203{number:08X}")


@contextmanager
def neighbours(
    addresses: Sequence[str],
    *,
    interface: str = "lo",
    port: int = 0,
    prefix: Sequence[str] = (),
    namespace: bool = False,
) -> Iterator[int]:
    """Devices at these addresses as long as the block lasts; yields their port. `prefix`: `ip netns exec ...`."""
    what = [interface, str(port), "made" if namespace else "here", *addresses]
    command = [*prefix, sys.executable, "-m", "tests.support.neighbours", *what]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=clean_environment()
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        try:
            yield int(process.stdout.readline())
        finally:
            process.stdin.close()
            process.wait(30)


async def _serve(interface: str, port: int, where: str, addresses: list[str]) -> None:
    network = TrioNetwork(TargetPolicy(namespace=where == "made"))
    answering = Answering(await network.udp("0.0.0.0", port, interface=interface))
    for number, address in enumerate(addresses, 1):
        me = unit_id(number)
        answering.join(
            Answerer(
                unit_id=me, mac=MacAddress(me), name=f"ITC{me}", product="UD", firmware="11.10.210", address=address
            )
        )
    listener = await network.listen(addresses[0], answering.port)

    async def accept() -> None:
        while True:
            nursery.start_soon(answering.answer_over_tcp, await listener.accept(), addresses[0])

    async with trio.open_nursery() as nursery:
        nursery.start_soon(answering.run)
        nursery.start_soon(accept)
        print(answering.port, flush=True)  # noqa: T201 - what the parent waits for
        await trio.to_thread.run_sync(sys.stdin.read, abandon_on_cancel=True)
        nursery.cancel_scope.cancel()


if __name__ == "__main__":
    trio.run(_serve, sys.argv[1], int(sys.argv[2]), sys.argv[3], sys.argv[4:])
