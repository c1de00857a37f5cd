# SPDX-License-Identifier: Apache-2.0
"""Tests of umslab_server.control.connectors."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from .desk import Desk, numbered
from .leading import open_lead_desk

if TYPE_CHECKING:
    from pathlib import Path

    from tests.server.parts import Office


@pytest.fixture
async def lead_desk(office: Office, tmp_path: Path) -> Desk:
    """Control of these services."""
    return (await open_lead_desk(office, tmp_path))[0]


async def test_from_the_terminal(lead_desk: Desk) -> None:
    """Add, list, remove."""
    added = await lead_desk.ask("connectors.add", type="icg", address="icg.lab")
    listed = await lead_desk.ask("connectors.list")
    removed = await lead_desk.ask("connectors.remove", address="icg.lab:8443")

    assert added == listed
    assert [(one["type"], one["host"], one["port"]) for one in listed["connectors"]] == [
        ("ums", "ums.lab", 8443),
        ("icg", "icg.lab", 8443),
    ]
    assert len(removed["connectors"]) == 1


async def test_refusals(lead_desk: Desk) -> None:
    """What is no address, and what is not there, are told in a sentence."""
    assert "neither a host name" in (await lead_desk.refused("connectors.add", type="ums", address="no address"))[1]
    assert "is not a port" in (await lead_desk.refused("connectors.remove", address="x.lab:99999"))[1]
    assert "not in the list" in (await lead_desk.refused("connectors.remove", address="x.lab"))[1]


BAD: list[tuple[str, dict[str, Any]]] = [
    ("connectors.list", {"x": 1}),
    ("connectors.add", {"type": "carrier pigeon", "address": "x.lab"}),
    ("connectors.add", {"address": "x.lab"}),
    ("connectors.remove", {"address": 1}),
    ("connectors.remove", {}),
]


@pytest.mark.parametrize(("name", "args"), BAD, ids=numbered(BAD))
async def test_bad_arguments(lead_desk: Desk, name: str, args: dict[str, Any]) -> None:
    """`invalid`, with the command in the sentence."""
    await lead_desk.invalid(name, args)


async def test_every_command_has_bad_arguments(lead_desk: Desk) -> None:
    """The table above is complete."""
    assert {name for name, _ in BAD} == lead_desk.names("connectors.")
