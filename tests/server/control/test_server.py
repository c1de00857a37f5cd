# SPDX-License-Identifier: Apache-2.0
"""Tests of umslab_server.control.server: the feed, the status and backups from the terminal."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
import trio

from tests.server.parts import Endpoint, Office, unit_id

from .desk import Desk, numbered

if TYPE_CHECKING:
    from pathlib import Path

    from umslab_server.store import Writer

ONE, TWO = unit_id(1), unit_id(2)


async def test_last_ones(desk: Desk, office: Office) -> None:
    """So many of the newest, oldest first; the answer tells where to go on."""
    for number in range(1, 6):
        await office.mass_key(f"key-{number}")
    last = await desk.ask("events", limit=2)

    assert [event.id for event in desk.items] == [4, 5]
    assert last == {"last": 5}


async def test_after(desk: Desk, office: Office) -> None:
    """From a number on; beyond the end there is nothing."""
    for number in range(1, 6):
        await office.mass_key(f"key-{number}")
    last = await desk.ask("events", after=3)
    none = await desk.ask("events", after=1000)

    assert [event.id for event in desk.items] == [4, 5]
    assert (last, none) == ({"last": 5}, {"last": 1000})


async def test_more_than_a_page(desk: Desk, office: Office) -> None:
    """A long feed comes whole."""

    def work(writer: Writer) -> None:
        for _ in range(501):
            writer.event("k", actor="t")

    await office.store.change(work)
    await desk.ask("events", after=0)

    assert [event.id for event in desk.items] == list(range(1, 502))


async def test_last_ones_of_a_device(desk: Desk, office: Office) -> None:
    """However much happened to others since; none is wanted, or fewer are there."""
    await office.device(1)
    mine = [event.id for event in await office.events() if event.unit_id == ONE]
    for number in range(6):
        await office.mass_key(f"later-{number}")
    seen = []
    for limit in (2, 0, 100):
        desk.items.clear()
        await desk.ask("events", limit=limit, unit_id=ONE)
        seen.append([event.id for event in desk.items])

    assert seen == [mine[-2:], [], mine]
    assert "is not a unit ID" in (await desk.refused("events", unit_id="everybody"))[1]


async def test_nothing_yet(desk: Desk) -> None:
    """An empty feed has an end too."""
    assert await desk.ask("events") == {"last": 0}


async def test_follow(desk: Desk, office: Office) -> None:
    """Every event as it comes, each once, of one device if asked."""
    await office.device(1)
    async with trio.open_nursery() as nursery:
        other = Desk(desk.control)
        nursery.start_soon(lambda: desk.ask("events", after=0, follow=True))
        nursery.start_soon(lambda: other.ask("events", limit=0, follow=True, unit_id=TWO))
        await trio.testing.wait_all_tasks_blocked()
        await office.device(2)
        await office.enrol(Endpoint(3), await office.mass_key())
        await trio.testing.wait_all_tasks_blocked()
        nursery.cancel_scope.cancel()
    feed = await office.events()

    assert [event.id for event in desk.items] == [event.id for event in feed]
    assert [event.id for event in other.items] == [event.id for event in feed if event.unit_id == TWO]


async def test_status(desk: Desk) -> None:
    """Handed through."""
    assert await desk.ask("status") == {"devices": {"online": 0, "offline": 0, "never-registered": 0, "in-bin": 0}}


async def test_backup(desk: Desk, tmp_path: Path) -> None:
    """A file is written, once."""
    told = await desk.ask("backup", path="b.tar")

    assert told["path"] == str(tmp_path / "b.tar")
    assert "exists already" in (await desk.refused("backup", path="b.tar"))[1]


BAD: list[tuple[str, dict[str, Any]]] = [
    ("status", {"verbose": True}),
    ("events", {"after": -1}),
    ("events", {"after": 2**70}),
    ("events", {"limit": -1}),
    ("events", {"follow": "yes"}),
    ("backup", {"path": 7}),
    ("backup", {}),
]


@pytest.mark.parametrize(("name", "args"), BAD, ids=numbered(BAD))
async def test_bad_arguments(desk: Desk, name: str, args: dict[str, Any]) -> None:
    """Wrong types, unknown and missing names, numbers out of bounds: `invalid`, with the command in the sentence."""
    await desk.invalid(name, args)


async def test_every_command_has_bad_arguments(desk: Desk) -> None:
    """The table above is complete."""
    assert {name for name, _ in BAD} == {name for name in desk.names() if "." not in name}
