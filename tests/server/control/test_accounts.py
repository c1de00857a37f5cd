# SPDX-License-Identifier: Apache-2.0
"""Tests of umslab_server.control.accounts."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from umslab_runtime.executor import InlineExecutor
from umslab_server.accounts import Accounts
from umslab_server.control.accounts import AccountCommands
from umslab_server.control.dispatch import Control

from .desk import Desk

if TYPE_CHECKING:
    from tests.server.parts import Office


@pytest.fixture
def accounts(office: Office) -> Desk:
    """The desk for accounts."""
    return Desk(Control(AccountCommands(Accounts(office.store, InlineExecutor())).table()))


async def test_create_list_delete(accounts: Desk) -> None:
    """One account from beginning to end."""
    made = await accounts.ask("accounts.create", name="ann")
    listed = await accounts.ask("accounts.list")
    await accounts.ask("accounts.delete", name="ann")

    assert made["password"]
    assert [(one["name"], one["password"]) for one in listed] == [("ann", None)]
    assert await accounts.ask("accounts.list") == []


async def test_refused(accounts: Desk) -> None:
    """What cannot be done is told; what is missing is named."""
    code, message = await accounts.refused("accounts.delete", name="ann")

    assert "no account" in message
    assert code
