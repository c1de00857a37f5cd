# SPDX-License-Identifier: Apache-2.0
"""Tests of umslab_server.os11.tickets: files of OS 11 devices, over TLS 1.2, for whoever has a ticket (E7, FU1)."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

import pytest

from tests.server.parts import EPOCH, unit_id
from tests.server.world import SERVER, World
from umslab_certs.tls import exact_context_12
from umslab_protocol.values.device_key import DeviceKey
from umslab_protocol.wire.basic_auth import format_basic
from umslab_protocol.wire.os11_proof import make_file_ticket
from umslab_protocol.wire.paths import FILE_TRANSFER
from umslab_runtime.http_client import HttpClientConnection
from umslab_server.configuration.assignments import ObjectType
from umslab_server.configuration.reconcile import When
from umslab_server.os11.tickets import MAX_TICKET_SECONDS

from .endpoint import Os11Endpoint

if TYPE_CHECKING:
    from pathlib import Path

    from trio.testing import MockClock

    from umslab_runtime.http import Response

CONTENT = b"background" * 1000
DIGEST = hashlib.sha256(CONTENT).hexdigest()
NOW = int(EPOCH.timestamp())


async def prepare(world: World, folder: Path) -> Os11Endpoint:
    """A device with a file that is assigned to it."""
    device = Os11Endpoint(world)
    await (await device.register()).goodbye()
    source = folder / "b.png"
    source.write_bytes(CONTENT)
    await world.services.files.add(source, actor="ann")
    await world.services.assignments.assign(ObjectType.FILE, "b.png", [unit_id(1)], actor="ann", when=When.NOW)
    return device


def ticket(device: Os11Endpoint, *, expires: int = NOW + 600, digest: str = DIGEST) -> str:
    """The credentials that a device makes."""
    made = make_file_ticket(device.key, device.unit_id, digest, expires)
    return format_basic(device.unit_id, f"{expires}:{made}")


async def fetch(
    device: Os11Endpoint, authorization: str | None, *, digest: str = DIGEST, method: str = "GET"
) -> Response:
    """Ask for a file."""
    assert device.pin is not None
    context = exact_context_12(device.pin, check_time=False)
    stream = await device.dial(context, "file_transfer_addresses")
    try:
        headers = [] if authorization is None else [("Authorization", authorization)]
        path = f"{FILE_TRANSFER}/{digest}"
        return await HttpClientConnection(stream, SERVER).request(method, path, headers=headers)
    finally:
        await stream.aclose()


async def test_a_ticket(rollout: World, tmp_path: Path, autojump_clock: MockClock) -> None:
    """It opens its file, as often as the device wants, and on this port alone."""
    device = await prepare(rollout, tmp_path)
    answers = [await fetch(device, ticket(device)) for _ in range(2)]

    assert [(200, CONTENT)] * 2 == [(one.status, one.body) for one in answers]
    assert (await rollout.call("GET", f"{FILE_TRANSFER}/{DIGEST}")).status == 404
    assert (await fetch(device, ticket(device), method="PUT")).status == 405


async def test_tickets_that_open_nothing(rollout: World, tmp_path: Path, autojump_clock: MockClock) -> None:
    """Expired, far too long, for another file, of another device or key, of a deleted device."""
    device = await prepare(rollout, tmp_path)
    stranger = Os11Endpoint(rollout, 2, pin=device.pin)
    forger = Os11Endpoint(rollout, 1, key=DeviceKey(bytes(32)), pin=device.pin)
    given = [
        ticket(device, expires=NOW - 1),
        ticket(device, expires=NOW + MAX_TICKET_SECONDS + 60),
        ticket(device, digest="0" * 64),
        ticket(stranger),
        ticket(forger),
        format_basic(device.unit_id, "rubbish"),
    ]
    answers = [await fetch(device, one) for one in given]
    await rollout.services.registry.purge(device.unit_id, actor="ann")
    answers.append(await fetch(device, ticket(device)))

    assert {(403, b"this ticket does not open this file now\n")} == {(one.status, one.body) for one in answers}


async def test_files_of_others(rollout: World, tmp_path: Path, autojump_clock: MockClock) -> None:
    """A good ticket for a file that is not assigned to the device, or that there is not, finds nothing."""
    device = await prepare(rollout, tmp_path)
    other = Os11Endpoint(rollout, 2)
    await (await other.register()).goodbye()
    answers = [
        await fetch(other, ticket(other)),
        await fetch(device, ticket(device, digest="0" * 64), digest="0" * 64),
        await fetch(device, ticket(device), digest="..%2fregistry.sqlite"),
    ]

    assert [404] * 3 == [one.status for one in answers]


@pytest.mark.parametrize("given", [None, "Bearer x", "Basic ?", format_basic("no unit ID", "x")])
async def test_no_ticket(rollout: World, tmp_path: Path, given: str | None, autojump_clock: MockClock) -> None:
    """It is asked for."""
    device = await prepare(rollout, tmp_path)
    answer = await fetch(device, given)

    assert answer.status == 401
    assert answer.header("www-authenticate")
