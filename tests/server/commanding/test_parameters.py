# SPDX-License-Identifier: Apache-2.0
"""Tests of umslab_server.commanding.parameters."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from umslab_protocol.wire.orders import CommandName
from umslab_server.commanding import parameters
from umslab_server.errors import RefusedError
from umslab_server.tables import file

if TYPE_CHECKING:
    from .workshop import Workshop


async def check(shop: Workshop, command: CommandName, **given: str) -> dict[str, str]:
    """The parameters as they are sent."""
    return await shop.office.store.read(lambda connection: parameters.check(connection, command, given))


async def test_each_command(shop: Workshop) -> None:
    """What is needed and what is allowed."""
    assert await check(shop, CommandName.MESSAGE, text="hi") == {"text": "hi"}
    assert await check(shop, CommandName.UPDATE) == {}
    assert await check(shop, CommandName.UPDATE, version="12.9") == {"version": "12.9"}
    assert await check(shop, CommandName.DEVICE_COMMAND, name="x", more="y") == {"name": "x", "more": "y"}
    assert await check(shop, CommandName.REBOOT) == {}
    assert await check(shop, CommandName.CHECK_REENROLMENT, force="true") == {"force": "true"}


async def test_file(shop: Workshop) -> None:
    """A file transfer says which file it is, with digest and size."""
    values = {"name": "wall.png", "sha256": "ab" * 32, "size": 7, "created_at": ""}
    await shop.execute(file.insert().values(**values))

    assert await check(shop, CommandName.FILE_TRANSFER, file="wall.png") == {
        "file": "wall.png",
        "name": "wall.png",
        "sha256": "ab" * 32,
        "size": "7",
    }


@pytest.mark.parametrize(
    ("command", "given", "sentence"),
    [
        (CommandName.MESSAGE, {}, "the command message needs --param text"),
        (CommandName.MESSAGE, {"text": ""}, "needs --param text"),
        (CommandName.MESSAGE, {"text": "x", "txt": "y"}, "no parameter 'txt'; it knows text"),
        (CommandName.DEVICE_COMMAND, {"x": "y"}, "needs --param name"),
        (CommandName.FILE_TRANSFER, {}, "needs --param file"),
        (CommandName.FILE_TRANSFER, {"file": "x"}, "there is no file 'x'"),
        (CommandName.REBOOT, {"hard": "yes"}, "no parameter 'hard'; it has none"),
        (CommandName.UPDATE, {"to": "12"}, "it knows version"),
        (CommandName.CHECK_REENROLMENT, {"force": "yes"}, "force of the command checkreenroll is true, or is left out"),
    ],
)
async def test_refused(shop: Workshop, command: CommandName, given: dict[str, str], sentence: str) -> None:
    """Each in a sentence that names the parameter."""
    with pytest.raises(RefusedError, match=sentence):
        await check(shop, command, **given)
