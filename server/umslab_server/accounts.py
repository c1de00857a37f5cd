# SPDX-License-Identifier: Apache-2.0
"""UMS users, as far as there are any here: names and passwords with which OS 11 devices are registered by hand (A9).

The vendor's right for it is called "scan for devices"; an account here has that right and no other. Passwords are kept
as scrypt hashes (RFC 7914).
"""

from __future__ import annotations

import hashlib
import hmac
import secrets
from typing import TYPE_CHECKING

from msgspec import Struct
from sqlalchemy import select
from sqlalchemy.exc import IntegrityError

from umslab_server.errors import RefusedError
from umslab_server.tables import account

if TYPE_CHECKING:
    from sqlalchemy import Row

    from umslab_runtime.executor import Executor
    from umslab_server.store import Store, Writer

MAX_ACCOUNTS = 1_000
MAX_NAME_CHARACTERS = 100
MIN_PASSWORD_CHARACTERS = 8
MAX_PASSWORD_CHARACTERS = 255
_COST, _BLOCK = 2**14, 8  # 16 MiB and some 50 ms
_NO_SALT = bytes(16)


class AccountError(RefusedError):
    """What was asked of the accounts cannot be done; the message is for the person who asked."""


class AccountView(Struct, frozen=True, kw_only=True):
    """An account as the terminal shows it."""

    name: str
    created_at: str
    password: str | None = None
    """Only in the answer that made it."""


class Accounts:
    """Who may register devices."""

    def __init__(self, store: Store, executor: Executor) -> None:
        """`executor` computes hashes."""
        self._store = store
        self._executor = executor
        self._key = secrets.token_bytes(32)
        self._right: dict[str, bytes] = {}
        """By the slow hash it fits, a quick one, with a key of this process, of what was right before: a rollout
        registers thousands of devices with one password."""

    async def create(self, name: str, password: str | None = None, *, actor: str) -> AccountView:
        """Make an account; without a password it gets a random one. Raises `AccountError`."""
        name = _check_name(name)
        password = secrets.token_urlsafe(15) if password is None else _check_password(password)
        salt = secrets.token_bytes(16)
        digest = await self._executor.run(lambda: _hash(password, salt))

        def work(writer: Writer) -> AccountView:
            if len(writer.connection.execute(select(account.c.name)).all()) >= MAX_ACCOUNTS:
                raise AccountError(f"there are {MAX_ACCOUNTS} accounts already")
            row = {"name": name, "salt": salt.hex(), "hash": digest.hex(), "created_at": writer.stamp}
            writer.connection.execute(account.insert().values(**row))
            writer.event("account-created", actor=actor, name=name)
            return AccountView(name=name, created_at=writer.stamp, password=password)

        try:
            return await self._store.change(work)
        except IntegrityError:
            raise AccountError(f"there is an account {name!r} already: delete it first") from None

    async def list_accounts(self) -> list[AccountView]:
        """Return all accounts by name."""
        query = select(account.c.name, account.c.created_at).order_by(account.c.name)
        rows = await self._store.read(lambda connection: connection.execute(query).all())
        return [AccountView(name=row.name, created_at=row.created_at) for row in rows]

    async def delete(self, name: str, *, actor: str) -> None:
        """Delete an account; devices that were registered with it stay. Raises `AccountError`."""

        def work(writer: Writer) -> None:
            if not writer.connection.execute(account.delete().where(account.c.name == name)).rowcount:
                raise AccountError(f"there is no account {name[:MAX_NAME_CHARACTERS]!r}")
            writer.event("account-deleted", actor=actor, name=name)

        await self._store.change(work)

    async def verify(self, name: str, password: str) -> bool:
        """Whether there is such an account with this password; takes as long for a name that does not exist.

        What was right before is found right at once; what is wrong always takes its time.
        """
        row = await self._store.read(
            lambda connection: connection.execute(select(account).where(account.c.name == name)).first()
        )
        quick = hmac.digest(self._key, password.encode("utf-8", "replace"), "sha256")
        return self._was_right(row, quick) or await self._executor.run(lambda: self._judge(row, password, quick))

    def _was_right(self, row: Row[tuple[str, ...]] | None, quick: bytes) -> bool:
        return row is not None and hmac.compare_digest(self._right.get(row.hash, b""), quick)

    def _judge(self, row: Row[tuple[str, ...]] | None, password: str, quick: bytes) -> bool:
        """Look again, perhaps in another thread: somebody before may have had the same password."""
        if self._was_right(row, quick):
            return True
        fits = _fits(row, password)
        if fits and row is not None:
            if len(self._right) >= MAX_ACCOUNTS:
                self._right.clear()
            self._right[row.hash] = quick
        return fits


def _fits(row: Row[tuple[str, ...]] | None, password: str) -> bool:
    if row is None:
        _hash(password, _NO_SALT)
        return False
    return hmac.compare_digest(_hash(password, bytes.fromhex(row.salt)), bytes.fromhex(row.hash))


def _hash(password: str, salt: bytes) -> bytes:
    return hashlib.scrypt(password.encode("utf-8", "replace"), salt=salt, n=_COST, r=_BLOCK, p=1, dklen=32)


def _check_name(name: str) -> str:
    if not 1 <= len(name) <= MAX_NAME_CHARACTERS or not name.isprintable() or name != name.strip():
        raise AccountError(f"the name of an account is printable text of 1 to {MAX_NAME_CHARACTERS} characters")
    return name


def _check_password(password: str) -> str:
    if not MIN_PASSWORD_CHARACTERS <= len(password) <= MAX_PASSWORD_CHARACTERS:
        bounds = f"{MIN_PASSWORD_CHARACTERS} to {MAX_PASSWORD_CHARACTERS}"
        raise AccountError(f"a password has {bounds} characters; without one, a random one is made")
    return password
