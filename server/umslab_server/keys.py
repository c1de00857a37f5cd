# SPDX-License-Identifier: Apache-2.0
"""First-authentication keys (facts K1-K9): made, listed, disabled, and spent exactly once.

A one-time key is *used* by the first enrolment that succeeds and from then on belongs to that unit ID and public key: a
device whose answer was lost presents it again and is served again (K5, K6, SE3). It is *spent* when that device first
opens `ws-connect`. Mass-deployment keys are neither; their use count rises once for each new enrolment.
"""

from __future__ import annotations

import secrets
from typing import TYPE_CHECKING, Any

from msgspec import Struct
from sqlalchemy import bindparam, select
from sqlalchemy.exc import IntegrityError

from umslab_protocol.values.auth_key import GENERATED_KEY_DIGITS, KeyKind
from umslab_server.errors import RefusedError
from umslab_server.tables import auth_key
from umslab_server.texts import check_text

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sqlalchemy import Connection, RowMapping

    from umslab_protocol.values.unit_id import UnitId
    from umslab_server.store import Store, Writer

MAX_KEYS_AT_ONCE = 100_000

# Made once, because every enrolment runs them.
_BY_SECRET = select(auth_key).where(auth_key.c.secret == bindparam("presented"))
_BY_NUMBER = select(auth_key).where(auth_key.c.id == bindparam("number"))
_UPDATE = auth_key.update().where(auth_key.c.id == bindparam("number"))
_SPEND = _UPDATE.where(auth_key.c.kind != KeyKind.MASS, auth_key.c.spent_at.is_(None))


class KeyProblemError(RefusedError):
    """What was asked of the keys cannot be done; the message is for the person who asked."""


class AuthKey(Struct, frozen=True, kw_only=True):
    """A key as the terminal shows it; `secret` only where it was asked for."""

    id: int
    kind: KeyKind
    state: str
    """`unused`, `in use`, `used`, `spent` or `disabled`."""
    label: str
    bound_to: str | None
    enabled: bool
    uses: int
    created_at: str
    used_by: str | None
    used_at: str | None
    spent_at: str | None
    onboards: str = ""
    """The mail address of whoever onboards with it (B5)."""
    role: str = ""
    secret: str | None = None


class Keys:
    """The keys of the registry."""

    def __init__(self, store: Store) -> None:
        self._store = store

    async def create(
        self,
        kind: KeyKind,
        *,
        count: int = 1,
        chosen: str | None = None,
        bound_to: Sequence[UnitId] = (),
        label: str = "",
        onboards: str = "",
        role: str = "",
        actor: str,
    ) -> list[AuthKey]:
        """Make keys and return them with their secrets.

        `chosen` is the text of one key (K1: a mass-deployment key may be chosen); otherwise secrets are random. A bound
        key is made for each unit ID of `bound_to`. `onboards` and `role` become those of the devices. Raises
        `RefusedError`, among others for a text that exists already.
        """
        if not 1 <= max(count, len(bound_to)) <= MAX_KEYS_AT_ONCE:
            raise KeyProblemError(f"1 to {MAX_KEYS_AT_ONCE} keys are made at once")
        owners: Sequence[UnitId | None] = list(bound_to) or [None] * count
        if (kind is KeyKind.BOUND) != bool(bound_to):
            raise KeyProblemError("a bound key needs unit IDs, and only a bound key has them")
        for what, text in (("user", onboards), ("role", role), ("label", label)):
            check_text(what, text)
        if chosen is not None and len(owners) != 1:
            raise KeyProblemError("only one key can have the text that was chosen")

        def work(writer: Writer) -> list[AuthKey]:
            common = {
                "kind": str(kind),
                "label": label,
                "created_at": writer.stamp,
                "onboards": onboards,
                "role": role,
            }
            wanted = [{**common, "bound_to": owner, "secret": chosen or _new_secret()} for owner in owners]
            insert = auth_key.insert().returning(auth_key, sort_by_parameter_order=True)
            rows = writer.connection.execute(insert, wanted).mappings().all()
            for row in rows:
                writer.event("key-created", actor=actor, unit_id=row["bound_to"], key=row["id"], key_kind=row["kind"])
            return [_view(row, with_secret=True) for row in rows]

        try:
            return await self._store.change(work)
        except IntegrityError:
            raise KeyProblemError("a key with this text exists already; no two keys are equal") from None

    async def list_keys(self, *, with_secrets: bool = False) -> list[AuthKey]:
        """Return all keys, oldest first."""
        query = select(auth_key).order_by(auth_key.c.id)
        rows = await self._store.read(lambda connection: connection.execute(query).mappings().all())
        return [_view(row, with_secret=with_secrets) for row in rows]

    async def show(self, key_id: int) -> AuthKey:
        """Return one key with its secret (K3). Raises `KeyProblemError`."""
        return _view(await self._store.read(lambda connection: _row(connection, key_id)), with_secret=True)

    async def enable(self, key_id: int, *, enabled: bool, actor: str) -> AuthKey:
        """Enable or disable a key. Raises `KeyProblemError`."""

        def work(writer: Writer) -> AuthKey:
            _row(writer.connection, key_id)
            writer.connection.execute(auth_key.update().where(auth_key.c.id == key_id).values(enabled=int(enabled)))
            writer.event("key-enabled" if enabled else "key-disabled", actor=actor, key=key_id)
            return _view(_row(writer.connection, key_id))

        return await self._store.change(work)

    async def delete(self, key_id: int, *, actor: str) -> None:
        """Delete a key; devices that enrolled with it stay. Raises `KeyProblemError`."""

        def work(writer: Writer) -> None:
            _row(writer.connection, key_id)
            writer.connection.execute(auth_key.delete().where(auth_key.c.id == key_id))
            writer.event("key-deleted", actor=actor, key=key_id)

        await self._store.change(work)


def find_usable(connection: Connection, secret: str, unit_id: UnitId, public_key: str) -> int | None:
    """Return the id of the key with this text if it lets this device enrol now, else None; for use inside a change.

    Why it does not fit is not told: to a stranger all wrong keys look the same.
    """
    row = connection.execute(_BY_SECRET, {"presented": secret}).mappings().first()
    if row is None or not row["enabled"] or row["spent_at"] is not None:
        return None
    if row["bound_to"] is not None and row["bound_to"] != unit_id:
        return None
    if row["used_by"] is not None and (row["used_by"], row["used_public_key"]) != (unit_id, public_key):
        return None
    return int(row["id"])


def onboarder(connection: Connection, key_id: int) -> tuple[str, str]:
    """Return mail address and role of whoever onboards with this key (B5); for use inside a change."""
    row = _row(connection, key_id)
    return row["onboards"], row["role"]


def count_use(writer: Writer, key_id: int, unit_id: UnitId, public_key: str) -> None:
    """Note that a certificate was issued under this key; for use inside a change."""
    row = _row(writer.connection, key_id)
    values: dict[str, Any] = {"uses": row["uses"] + 1}
    if row["kind"] != KeyKind.MASS and row["used_by"] is None:
        values |= {"used_by": unit_id, "used_public_key": public_key, "used_at": writer.stamp}
    writer.connection.execute(_UPDATE, {"number": key_id, **values})


def spend(writer: Writer, key_id: int) -> None:
    """Close a one-time key for good, because its device has opened `ws-connect`; for use inside a change."""
    writer.connection.execute(_SPEND, {"number": key_id, "spent_at": writer.stamp})


def _new_secret() -> str:
    """Digits like the vendor's samples (K4); the first is not 0, so that no spreadsheet shortens it."""
    smallest = 10 ** (GENERATED_KEY_DIGITS - 1)
    return str(smallest + secrets.randbelow(9 * smallest))


def _row(connection: Connection, key_id: int) -> RowMapping:
    row = connection.execute(_BY_NUMBER, {"number": key_id}).mappings().first()
    if row is None:
        raise KeyProblemError(f"there is no key number {key_id}")
    return row


def _view(row: RowMapping, *, with_secret: bool = False) -> AuthKey:
    return AuthKey(
        id=row["id"],
        kind=KeyKind(row["kind"]),
        state=_state(row),
        label=row["label"],
        bound_to=row["bound_to"],
        enabled=bool(row["enabled"]),
        uses=row["uses"],
        created_at=row["created_at"],
        used_by=row["used_by"],
        used_at=row["used_at"],
        spent_at=row["spent_at"],
        onboards=row["onboards"],
        role=row["role"],
        secret=row["secret"] if with_secret else None,
    )


def _state(row: RowMapping) -> str:
    if not row["enabled"]:
        return "disabled"
    if row["spent_at"] is not None:
        return "spent"
    if row["used_at"] is not None:
        return "used"
    return "in use" if row["uses"] else "unused"
