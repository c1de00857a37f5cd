# SPDX-License-Identifier: Apache-2.0
"""Tests of umslab_server.control.devices: the registry from the terminal."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.server.parts import Office, unit_id
from umslab_server import registry

from .desk import Desk, numbered

ONE, TWO = unit_id(1), unit_id(2)


async def test_life_of_a_device(desk: Desk) -> None:
    """Imported, listed, shown, edited, deleted, restored, purged."""
    imported = await desk.ask("devices.import", csv=f"{ONE};Kiosk\n{TWO};Desk\n")
    again = await desk.ask("devices.import", csv=f"\ufeff{ONE};Kiosk")
    await desk.ask("devices.edit", unit_id=ONE, values={"site": "Bremen"})
    shown = await desk.ask("devices.show", unit_id=ONE)
    deleted = await desk.ask("devices.delete", unit_ids=[ONE, TWO])
    binned = await desk.ask("devices.list", in_bin=True)
    await desk.ask("devices.restore", unit_ids=[ONE])
    await desk.ask("devices.purge", unit_ids=[TWO])
    left = await desk.ask("devices.list")
    short = await desk.ask("devices.list", brief=True, directory="/", pending=False)

    assert imported == {"added": 2, "existing": []}
    assert again == {"added": 0, "existing": [ONE]}
    assert (shown["name"], shown["site"], shown["state"]) == ("Kiosk", "Bremen", "never-registered")
    assert deleted == {ONE: "in-bin", TWO: "in-bin"}
    assert [device["unit_id"] for device in binned] == [ONE, TWO]
    assert [device["unit_id"] for device in left] == [ONE]
    assert short == [{name: left[0][name] for name in short[0]}]
    assert set(short[0]) == {
        "unit_id", "name", "state", "overlays", "generation", "firmware", "last_ip", "directory", "config_changes",
        "last_contact",
    }  # fmt: skip


async def test_the_key_of_a_device_is_nowhere(desk: Desk, office: Office) -> None:
    """What an OS 11 device shares with this server is in no answer and no event (G8)."""
    await office.device(1)
    secret = "c2VjcmV0" * 5 + "c2U="
    await office.store.change(lambda writer: registry.update(writer, ONE, device_key=secret, generation="11"))
    await desk.ask("devices.edit", unit_id=ONE, values={"name": "Kiosk"})
    said = [
        await desk.ask("devices.list"),
        await desk.ask("devices.show", unit_id=ONE),
        [event.data for event in await office.events()],
    ]
    refused = await desk.refused("devices.edit", unit_id=ONE, values={"device_key": ""})

    assert secret not in json.dumps(said)
    assert "device_key cannot be edited" in refused[1]


async def test_revoke(desk: Desk, office: Office) -> None:
    """How many certificates, and the reason for the device."""
    await office.device(1)

    assert await desk.ask("devices.revoke", unit_id=ONE) == 1
    assert [event.cause for event in await office.events("device-revoked")] == ["revoked by the administrator"]


async def test_refusals(desk: Desk) -> None:
    """Unknown devices, texts that are no unit IDs, bad files."""
    for name in ("devices.delete", "devices.restore", "devices.purge"):
        assert await desk.refused(name, unit_ids=[ONE]) == ("refused", f"no device has the unit ID {ONE}")
        assert "is not a unit ID" in (await desk.refused(name, unit_ids=["00:e0:c5:14:32:5b"]))[1]
    assert "line 2: " in (await desk.refused("devices.import", csv=f"{ONE};a\nwrong"))[1]
    assert "nothing to change" in (await desk.refused("devices.edit", unit_id=ONE, values={}))[1]
    assert "cannot be edited" in (await desk.refused("devices.edit", unit_id=ONE, values={"id": "7"}))[1]


async def test_texts_that_nobody_could_read(desk: Desk) -> None:
    """What people attach to a device is printable and at most 255 characters; a device has a name."""
    await desk.ask("devices.import", csv=f"{ONE};Kiosk")
    for text in ("x" * 256, "a\nb", "a\x1b[31mb", "\0"):
        assert "printable text" in (await desk.refused("devices.edit", unit_id=ONE, values={"site": text}))[1]
        assert "printable text" in (await desk.refused("devices.revoke", unit_id=ONE, reason=text))[1]
    assert "has a name" in (await desk.refused("devices.edit", unit_id=ONE, values={"name": " "}))[1]
    await desk.ask("devices.edit", unit_id=ONE, values={"site": "x" * 255, "comment": ""})
    shown = await desk.ask("devices.show", unit_id=ONE)

    assert (shown["name"], shown["site"]) == ("Kiosk", "x" * 255)


BAD: list[tuple[str, dict[str, Any]]] = [
    ("devices.list", {"in_bin": 1}),
    ("devices.show", {"unit_id": 1}),
    ("devices.edit", {"unit_id": ONE, "values": {"name": None}}),
    ("devices.edit", {"unit_id": ONE}),
    ("devices.delete", {"unit_ids": ONE}),
    ("devices.restore", {}),
    ("devices.purge", {"unit_ids": [1]}),
    ("devices.revoke", {"unit_id": ONE, "why": "x"}),
    ("devices.import", {"csv": ["x"]}),
]


@pytest.mark.parametrize(("name", "args"), BAD, ids=numbered(BAD))
async def test_bad_arguments(desk: Desk, name: str, args: dict[str, Any]) -> None:
    """Wrong types, unknown and missing names, numbers out of bounds: `invalid`, with the command in the sentence."""
    await desk.invalid(name, args)


async def test_every_command_has_bad_arguments(desk: Desk) -> None:
    """The table above is complete."""
    assert {name for name, _ in BAD} == desk.names("devices.")
