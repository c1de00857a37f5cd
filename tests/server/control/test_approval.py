# SPDX-License-Identifier: Apache-2.0
"""Tests of umslab_server.control.approval."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from tests.server.parts import Endpoint, unit_id

from .desk import Desk, numbered
from .leading import open_lead_desk

if TYPE_CHECKING:
    from pathlib import Path

    from tests.server.parts import Office


@pytest.fixture
async def lead_desk(office: Office, tmp_path: Path) -> Desk:
    """Control of these services, which ask for approval."""
    office.enrolment._approval_seconds = 60.0
    return (await open_lead_desk(office, tmp_path))[0]


async def test_from_the_terminal(office: Office, lead_desk: Desk) -> None:
    """List, approve, reject, approve all."""
    secret = await office.mass_key()
    for number in range(1, 5):
        await office.ask(Endpoint(number), secret)
    assert await lead_desk.ask("approval.approve", unit_ids=[unit_id(1)]) == 1
    assert await lead_desk.ask("approval.reject", unit_ids=[unit_id(2)]) == 1
    assert await lead_desk.ask("approval.approve-all") == 2

    states = {one["unit_id"]: one["state"] for one in await lead_desk.ask("approval.list")}
    assert states == {
        unit_id(1): "approved",
        unit_id(2): "rejected",
        unit_id(3): "approved",
        unit_id(4): "approved",
    }


async def test_refusals(lead_desk: Desk) -> None:
    """Who has not asked, and what is no unit ID."""
    assert "has not asked" in (await lead_desk.refused("approval.approve", unit_ids=[unit_id(9)]))[1]
    assert "is not a unit ID" in (await lead_desk.refused("approval.reject", unit_ids=["nonsense"]))[1]
    assert "no device was named" in (await lead_desk.refused("approval.reject", unit_ids=[]))[1]


BAD: list[tuple[str, dict[str, Any]]] = [
    ("approval.list", {"x": 1}),
    ("approval.approve", {"unit_ids": "x"}),
    ("approval.approve-all", {"unit_ids": []}),
    ("approval.reject", {}),
]


@pytest.mark.parametrize(("name", "args"), BAD, ids=numbered(BAD))
async def test_bad_arguments(lead_desk: Desk, name: str, args: dict[str, Any]) -> None:
    """`invalid`, with the command in the sentence."""
    await lead_desk.invalid(name, args)


async def test_every_command_has_bad_arguments(lead_desk: Desk) -> None:
    """The table above is complete."""
    assert {name for name, _ in BAD} == lead_desk.names("approval.")
