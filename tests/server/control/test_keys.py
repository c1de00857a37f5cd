# SPDX-License-Identifier: Apache-2.0
"""Tests of umslab_server.control.keys: K1-K5 from the terminal."""

from __future__ import annotations

from typing import Any

import pytest

from tests.server.parts import unit_id

from .desk import Desk, numbered

ONE, TWO = unit_id(1), unit_id(2)


async def test_life_of_a_key(desk: Desk) -> None:
    """Made, listed without its secret, shown with it, disabled, enabled, deleted."""
    (made,) = await desk.ask("keys.create", kind="one-time", label="for Ann")
    listed = await desk.ask("keys.list")
    with_secrets = await desk.ask("keys.list", secrets=True)
    shown = await desk.ask("keys.show", id=made["id"])
    disabled = await desk.ask("keys.enable", id=made["id"], enabled=False)
    enabled = await desk.ask("keys.enable", id=made["id"], enabled=True)
    await desk.ask("keys.delete", id=made["id"])

    assert made == shown == with_secrets[0]
    assert listed == [{**made, "secret": None}]
    assert [disabled["state"], enabled["state"]] == ["disabled", "unused"]
    assert await desk.ask("keys.list") == []


async def test_kinds(desk: Desk) -> None:
    """Many at once, chosen, bound."""
    many = await desk.ask("keys.create", kind="mass", count=3)
    chosen = await desk.ask("keys.create", kind="mass", chosen="Bremen-2026")
    bound = await desk.ask("keys.create", kind="bound", bound_to=[ONE, TWO])

    assert len({key["secret"] for key in many}) == 3
    assert chosen[0]["secret"] == "Bremen-2026"
    assert [key["bound_to"] for key in bound] == [ONE, TWO]


async def test_refusals(desk: Desk) -> None:
    """Each in a sentence; the text of a key is never repeated."""
    await desk.ask("keys.create", kind="mass", chosen="taken")

    assert await desk.refused("keys.create", kind="mass", chosen="taken") == (
        "refused",
        "a key with this text exists already; no two keys are equal",
    )
    assert "without spaces" in (await desk.refused("keys.create", kind="mass", chosen="two words"))[1]
    assert "words" not in (await desk.refused("keys.create", kind="mass", chosen="two words"))[1]
    assert "is not a unit ID" in (await desk.refused("keys.create", kind="bound", bound_to=["x"]))[1]
    assert "1 to 100000" in (await desk.refused("keys.create", kind="mass", count=0))[1]
    assert "no key number 99" in (await desk.refused("keys.show", id=99))[1]


BAD: list[tuple[str, dict[str, Any]]] = [
    ("keys.create", {}),
    ("keys.create", {"kind": "golden"}),
    ("keys.create", {"kind": "mass", "count": "3"}),
    ("keys.create", {"kind": "mass", "count": 1.5}),
    ("keys.create", {"kind": "mass", "bound_to": "x"}),
    ("keys.list", {"secrets": "yes"}),
    ("keys.show", {}),
    ("keys.show", {"id": "1"}),
    ("keys.show", {"id": -1}),
    ("keys.show", {"id": 2**70}),
    ("keys.enable", {"id": 1}),
    ("keys.enable", {"id": 2**70, "enabled": True}),
    ("keys.delete", {"id": None}),
]


@pytest.mark.parametrize(("name", "args"), BAD, ids=numbered(BAD))
async def test_bad_arguments(desk: Desk, name: str, args: dict[str, Any]) -> None:
    """Wrong types, unknown and missing names, numbers out of bounds: `invalid`, with the command in the sentence."""
    await desk.invalid(name, args)


async def test_every_command_has_bad_arguments(desk: Desk) -> None:
    """The table above is complete."""
    assert {name for name, _ in BAD} == desk.names("keys.")
