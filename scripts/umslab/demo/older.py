# SPDX-License-Identifier: Apache-2.0
"""The demo's OS 11 devices: each at an address of its own in 127.0.0.0/8, where the server calls it and asks for it."""

from __future__ import annotations

import os
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import TYPE_CHECKING

from umslab.one_device import DeviceOptions, make_device
from umslab_agent.folder import DeviceFolder
from umslab_agent.nearby import Whereabouts, open_nearby
from umslab_agent.os11.device import Os11Settings
from umslab_agent.persona import derive_persona
from umslab_agent.trust import TrustMode
from umslab_certs.keys import KeyType
from umslab_protocol.machines.retrying import RetryPolicy
from umslab_protocol.values.firmware import DEFAULT_OS11_FIRMWARE
from umslab_protocol.values.host_port import PUSH_PORT, parse_host_port
from umslab_runtime.net_trio import TrioNetwork

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable
    from pathlib import Path

    from umslab_agent.living import Change, LivingDevice
    from umslab_agent.onboarding import World
    from umslab_agent.os11.registering import Wish

FIRST_INDEX = 1000
"""Their personas are none of the others'."""


@asynccontextmanager
async def older_device(
    world: World,
    path: Path,
    number: int,
    *,
    server: str,
    wish: Wish,
    structure_tag: str,
    on_change: Callable[[str, Change], None],
) -> AsyncIterator[LivingDevice]:
    """Make one device, which answers the online check as long as the block lasts; `run` it. `server` is HOST:PORT."""
    address = own_address(os.getpid(), number)
    here = replace(world, network=TrioNetwork().calling_from(address))
    folder = DeviceFolder(path / f"os11-{number}")
    folder.path.mkdir(exist_ok=True)
    persona = derive_persona(2026, FIRST_INDEX + number, firmware=DEFAULT_OS11_FIRMWARE, structure_tag=structure_tag)
    options = DeviceOptions(
        target=parse_host_port(server),
        trust_mode=TrustMode(),
        policy=RetryPolicy(first=0.3, most=3.0, onboarding=True),
        os11=Os11Settings(key_type=KeyType.P256, wish=wish, listen=address),
    )
    where = Whereabouts(address=address, probe_port=PUSH_PORT, wake_port=None)
    async with open_nearby(here.network, where, checked=True) as nearby:
        yield make_device(
            here, folder, persona, options, lambda change: on_change(persona.unit_id, change), nearby=nearby
        )


def own_address(process: int, number: int) -> str:
    """Return an address that no other demo of this machine has: the ports on it are the documented ones."""
    return f"127.{64 + process % 64}.{process // 64 % 256}.{1 + number}"
