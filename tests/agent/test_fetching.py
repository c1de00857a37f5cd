# SPDX-License-Identifier: Apache-2.0
"""Files are fetched with the device's certificate, checked, and kept whole or not at all."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
import trio

from tests.agent.desk import open_desk
from umslab_agent.fetching import MAX_FILE_BYTES, FileProblemError, fetch, is_there
from umslab_protocol.wire.orders import FileOrder

if TYPE_CHECKING:
    from pathlib import Path

    from trio.testing import MockClock


async def test_a_file_over_a_mebibyte(tmp_path: Path, autojump_clock: MockClock) -> None:
    """Larger than any other answer a device takes; asked for with the client certificate at the documented path."""
    async with open_desk(tmp_path) as desk:
        device = desk.device()
        await device.until_managed()
        content = bytes(range(256)) * 12_000
        order = desk.file("image.bin", content)
        await fetch(device.device._unit, order)
        host, request = desk.requests[-1]

        assert content == (device.folder.files / "image.bin").read_bytes()
        assert is_there(device.device._unit, order)
        assert ("ums.lab", f"/device-connector/device/files/{order.sha256}") == (host, request.path)
        assert request.peer.certificate is not None


async def test_the_limit(tmp_path: Path, autojump_clock: MockClock) -> None:
    """More than 64 MiB are not even asked for."""
    async with open_desk(tmp_path) as desk:
        device = desk.device()
        await device.until_managed()
        asked = len(desk.requests)
        order = FileOrder(name="big", sha256="0" * 64, size=MAX_FILE_BYTES + 1)
        with pytest.raises(FileProblemError, match="at most 67108864"):
            await fetch(device.device._unit, order)

        assert asked == len(desk.requests)


async def test_tries_back_off(tmp_path: Path, autojump_clock: MockClock) -> None:
    """Four tries, each wait twice the one before; a server that is away is named."""
    async with open_desk(tmp_path) as desk:
        device = desk.device()
        await device.until_managed()
        began = trio.current_time()
        with pytest.raises(FileProblemError, match="404"):
            await fetch(device.device._unit, FileOrder(name="no", sha256="0" * 64, size=1))
        assert 35 == pytest.approx(trio.current_time() - began, abs=1)

        desk.network.partition("ums.lab", "devices")
        with pytest.raises(FileProblemError, match="no: "):
            await fetch(device.device._unit, FileOrder(name="no", sha256="0" * 64, size=1))


async def test_a_disk_that_refuses(tmp_path: Path, autojump_clock: MockClock) -> None:
    """A file in the place of the folder: a sentence."""
    async with open_desk(tmp_path) as desk:
        device = desk.device()
        await device.until_managed()
        device.folder.files.write_bytes(b"in the way")
        with pytest.raises(FileProblemError, match="could not be kept"):
            await fetch(device.device._unit, desk.file("f", b"x"))
