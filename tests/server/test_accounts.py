# SPDX-License-Identifier: Apache-2.0
"""Tests of umslab_server.accounts."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec
import pytest
import trio
from sqlalchemy import select

import umslab_server.accounts as module
from umslab_runtime.executor import InlineExecutor
from umslab_server.accounts import MAX_PASSWORD_CHARACTERS, AccountError, Accounts
from umslab_server.tables import account

if TYPE_CHECKING:
    from .parts import Office

PASSWORD = "correct horse"


@pytest.fixture
def accounts(office: Office) -> Accounts:
    """The accounts of an office."""
    return Accounts(office.store, InlineExecutor())


async def test_verify(accounts: Accounts) -> None:
    """The right password of the right user, and nothing else."""
    await accounts.create("ann", PASSWORD, actor="test")
    await accounts.create("bob", "another horse", actor="test")
    tried = [("ann", PASSWORD), ("bob", PASSWORD), ("ann", ""), ("carl", PASSWORD), ("ann", "\ud800")]

    assert [await accounts.verify(name, password) for name, password in tried] == [True, False, False, False, False]


async def test_a_password_that_was_right_is_quickly_right_again(
    accounts: Accounts, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Hashed once, also when many come together; a wrong one is hashed each time, that of a deleted user is wrong."""
    await accounts.create("ann", PASSWORD, actor="test")
    hashed: list[str] = []

    def counting(password: str, salt: bytes) -> bytes:
        hashed.append(password)
        return slow(password, salt)

    slow = module._hash
    monkeypatch.setattr(module, "_hash", counting)
    right: list[bool] = []

    async def verify() -> None:
        right.append(await accounts.verify("ann", PASSWORD))

    async with trio.open_nursery() as nursery:
        for _ in range(5):
            nursery.start_soon(verify)
    wrong = [await accounts.verify("ann", "wrong horse") for _ in range(2)]
    await accounts.delete("ann", actor="test")
    gone = await accounts.verify("ann", PASSWORD)

    assert ([True] * 5, [False] * 2, False) == (right, wrong, gone)
    assert [PASSWORD, "wrong horse", "wrong horse", PASSWORD] == hashed


async def test_random_password(accounts: Accounts) -> None:
    """Without one it is made, told once, and different each time."""
    made = [await accounts.create(name, actor="test") for name in ("ann", "bob")]
    passwords = [one.password or "" for one in made]

    assert len(set(passwords)) == 2
    assert await accounts.verify("ann", passwords[0])
    assert [(one.name, one.password) for one in await accounts.list_accounts()] == [("ann", None), ("bob", None)]


async def test_nothing_readable_is_kept(office: Office, accounts: Accounts) -> None:
    """The registry has a salted hash, the feed has the name."""
    await accounts.create("ann", PASSWORD, actor="test")
    rows = await office.store.read(lambda connection: connection.execute(select(account)).mappings().all())
    kept = msgspec.json.encode([[dict(row) for row in rows], await office.events()]).decode()

    assert PASSWORD not in kept
    assert [event.data for event in await office.events("account-created")] == [{"name": "ann"}]


async def test_delete(accounts: Accounts) -> None:
    """Then it opens nothing, and can be made again."""
    await accounts.create("ann", PASSWORD, actor="test")
    await accounts.delete("ann", actor="test")

    assert not await accounts.verify("ann", PASSWORD)
    with pytest.raises(AccountError, match="no account 'ann'"):
        await accounts.delete("ann", actor="test")
    await accounts.create("ann", PASSWORD, actor="test")


@pytest.mark.parametrize(
    ("name", "password"),
    [("", PASSWORD), ("a\n", PASSWORD), (" ann", PASSWORD), ("x" * 101, PASSWORD), ("ann", "short"),
     ("ann", "x" * (MAX_PASSWORD_CHARACTERS + 1))],
)  # fmt: skip
async def test_what_is_no_account(accounts: Accounts, name: str, password: str) -> None:
    """Refused with what would be one."""
    with pytest.raises(AccountError, match="characters"):
        await accounts.create(name, password, actor="test")


async def test_taken(accounts: Accounts) -> None:
    """A name is one account; the password of the first stays."""
    await accounts.create("ann", PASSWORD, actor="test")
    with pytest.raises(AccountError, match="already"):
        await accounts.create("ann", "another horse", actor="test")

    assert await accounts.verify("ann", PASSWORD)
