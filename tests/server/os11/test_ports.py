# SPDX-License-Identifier: Apache-2.0
"""Tests of umslab_server.os11.ports: what a server opens for OS 11 devices, and over a restart."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec
import pytest

from tests.server.parts import unit_id
from tests.server.world import QUICK_OS11, config, open_world
from umslab_certs.errors import CertificateError
from umslab_certs.tls import pinned_context
from umslab_protocol.values.host_port import HostPort
from umslab_protocol.wire.messages import Welcome
from umslab_runtime.dial_tls import dial_tls
from umslab_runtime.tls import TLSError

from .conftest import ROLLOUT
from .endpoint import Os11Endpoint

if TYPE_CHECKING:
    from pathlib import Path

    from trio.testing import MockClock

    from tests.server.world import World


async def test_restart(tmp_path: Path, autojump_clock: MockClock) -> None:
    """The certificate is the same, so that the device does not register anew."""
    async with open_world(tmp_path, ROLLOUT) as world:
        device = Os11Endpoint(world)
        await (await device.register()).goodbye()
        await world.stop()
    async with open_world(tmp_path, ROLLOUT) as world:
        device.world = world
        _, answer = await device.contact()

        assert isinstance(answer, Welcome)


async def test_what_is_open(rollout: World, autojump_clock: MockClock) -> None:
    """Two ports beside the web port; the certificate is among those that are shown."""
    ready = rollout.ready
    ports = {*ready.addresses, *ready.os11_addresses, *ready.file_transfer_addresses}

    assert len(ports) == 3
    assert rollout.services.certificates.describe()["device_communication"]["subject"] == "'O=umslab simulation'"


async def test_tls_13_is_refused(rollout: World, autojump_clock: MockClock) -> None:
    """T1: a device of the other generation gets no further than the handshake, on either port."""
    for address in (*rollout.ready.os11_addresses, *rollout.ready.file_transfer_addresses):
        target = HostPort(rollout.host, int(address.rpartition(":")[2]))
        with pytest.raises(TLSError):
            await dial_tls(rollout.network, target, pinned_context([rollout.services.certificates.root]), within=30.0)

    assert rollout.services.reach.contacts == 0


async def test_off(tmp_path: Path, autojump_clock: MockClock) -> None:
    """Without OS 11 nothing is open, made or shown for it."""
    chosen = config(os11=msgspec.structs.replace(QUICK_OS11, enabled=False))
    async with open_world(tmp_path, chosen) as world:
        assert world.ready.os11_addresses == world.ready.file_transfer_addresses == []
        assert "device_communication" not in world.services.certificates.describe()

    assert not (tmp_path / "server" / "os11").exists()


async def test_lost_certificate(tmp_path: Path, autojump_clock: MockClock) -> None:
    """G6: a new one would lock every OS 11 device out, so it is not made silently; without devices it is."""
    file = tmp_path / "server" / "os11" / "tckey.pem"
    async with open_world(tmp_path, ROLLOUT) as world:
        await world.stop()
    file.unlink()
    async with open_world(tmp_path, ROLLOUT) as world:
        await Os11Endpoint(world).register()
    file.unlink()
    with pytest.RaisesGroup(CertificateError, flatten_subgroups=True, allow_unwrapped=True) as caught:
        async with open_world(tmp_path, ROLLOUT):
            pass

    assert "must register anew" in str(caught.value.exceptions[0])
    off = config(os11=msgspec.structs.replace(QUICK_OS11, enabled=False))
    async with open_world(tmp_path, off) as world:
        await world.services.registry.purge(unit_id(1), actor="ann")
        await world.stop()
    async with open_world(tmp_path, ROLLOUT) as world:
        await Os11Endpoint(world, 2).register()
