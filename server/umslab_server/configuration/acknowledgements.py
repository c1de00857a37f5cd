# SPDX-License-Identifier: Apache-2.0
"""Who has acknowledged which settings, written many at a time: a push to thousands is answered by all of them at once.

While one batch is committed the next one gathers. What is lost with the server is told again by the device's next pull.
"""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING, NamedTuple

from sqlalchemy import bindparam, select

from umslab_runtime.mailbox import Mailbox
from umslab_server.configuration.library import chunks
from umslab_server.store import StoreError
from umslab_server.tables import device

if TYPE_CHECKING:
    from collections.abc import Sequence

    from umslab_server.store import Store, Writer

MAX_WAITING = 100_000
MAX_BATCH = 500

_apply = (
    device.update()
    .where(device.c.unit_id == bindparam("who"))
    .values(
        applied_version=bindparam("version"),
        applied_digest=bindparam("digest"),
        applied_at=bindparam("at"),
    )
)


class Acknowledged(NamedTuple):
    """A device has these settings, durably."""

    unit_id: str
    version: int
    digest: str


class Acknowledgements:
    """Keeps them; keep `run` running."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._waiting: Mailbox[Acknowledged] = Mailbox(MAX_WAITING)

    def put(self, one: Acknowledged) -> None:
        """Write this soon; when too many wait it is left out, and the device's next pull tells it again."""
        self._waiting.put(one)

    async def run(self) -> None:
        """Write for ever; what waits at the end is given to the store, which commits it before it closes."""
        batch: list[Acknowledged] = []
        try:
            while True:
                batch = await self._waiting.take(MAX_BATCH)
                with suppress(StoreError):
                    await self._store.change(lambda writer, batch=batch: _keep(writer, batch))  # type: ignore[misc]
                batch = []
        finally:
            batch += self._waiting.take_nowait(MAX_WAITING)
            if batch:
                with suppress(StoreError):
                    self._store.post(lambda writer: _keep(writer, batch))


def _keep(writer: Writer, batch: Sequence[Acknowledged]) -> None:
    newest: dict[str, Acknowledged] = {}
    for one in batch:
        if (known := newest.get(one.unit_id)) is None or known.version <= one.version:
            newest[one.unit_id] = one
    columns = (device.c.unit_id, device.c.settings_version, device.c.applied_version, device.c.applied_digest)
    rows = []
    for some in chunks(sorted(newest)):
        for row in writer.connection.execute(select(*columns).where(device.c.unit_id.in_(some))):
            one = newest[row.unit_id]
            if not row.applied_version <= one.version <= row.settings_version:
                continue  # an answer that something newer has overtaken
            if (row.applied_version, row.applied_digest) != (one.version, one.digest):
                rows.append({"who": one.unit_id, "version": one.version, "digest": one.digest, "at": writer.stamp})
    if rows:
        writer.connection.execute(_apply, rows)
    for made in rows:
        writer.event("settings-applied", actor="device", unit_id=str(made["who"]), version=made["version"])
