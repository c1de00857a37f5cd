# SPDX-License-Identifier: Apache-2.0
"""Tests of umslab_server.services."""

from __future__ import annotations

import os
from contextlib import AsyncExitStack
from typing import TYPE_CHECKING

import msgspec
import pytest

from tests.support.lab import quick_config
from umslab_certs.errors import CertificateError
from umslab_certs.files import make_private_folder
from umslab_protocol.wire.messages import FROM_DEVICE, Ack, Error, Result
from umslab_runtime.clock import VirtualClock
from umslab_runtime.executor import InlineExecutor
from umslab_runtime.net_memory import MemoryNetwork
from umslab_server.config import ConnectorsConfig
from umslab_server.services import Means, Services, certificate_names, device_names, open_services
from umslab_server.state_folder import StateFolder

from .parts import EPOCH

if TYPE_CHECKING:
    from pathlib import Path


async def _open(path: Path, stack: AsyncExitStack) -> Services:
    make_private_folder(path)
    inline = InlineExecutor()
    means = Means(
        clock=VirtualClock(EPOCH),
        writer=inline,
        reader=inline,
        written_documents=True,
        check_time=False,
        network=MemoryNetwork().host("ums.lab"),
        entropy=os.urandom,
    )
    return await open_services(quick_config(), StateFolder(path), means, stack)


async def test_everything_a_device_may_say_has_a_handler(tmp_path: Path) -> None:
    """Answers go to whoever asked; everything else to its service."""
    async with AsyncExitStack() as stack:
        services = await _open(tmp_path / "ums", stack)

        assert {*FROM_DEVICE} - {Ack, Error, Result} == set(services.sessions._handlers)


async def test_a_second_opening_finds_what_the_first_made(tmp_path: Path) -> None:
    """The root is made once."""
    async with AsyncExitStack() as stack:
        first = (await _open(tmp_path / "ums", stack)).certificates.token
    async with AsyncExitStack() as stack:
        assert first == (await _open(tmp_path / "ums", stack)).certificates.token


async def test_lost_certificates_are_not_made_anew(tmp_path: Path) -> None:
    """A registry without its certificates is a damaged folder."""
    async with AsyncExitStack() as stack:
        await _open(tmp_path / "ums", stack)
    (tmp_path / "ums" / "web" / "web.pem").unlink()
    async with AsyncExitStack() as stack:
        with pytest.raises(CertificateError, match="is not there, although"):
            await _open(tmp_path / "ums", stack)


def test_names() -> None:
    """The certificate covers what devices use, and this machine's own names (C6, T17)."""
    connectors = ConnectorsConfig(cluster_address="cluster.example:443", public_address="ums.example")
    config = msgspec.structs.replace(quick_config(), names=["ums.lab"], connectors=connectors)

    assert ["ums.lab", "cluster.example", "ums.example"] == device_names(config)
    assert {*device_names(config), "localhost", "127.0.0.1", "::1"} == set(certificate_names(config))
