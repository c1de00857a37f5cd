# SPDX-License-Identifier: Apache-2.0
"""Tests of umslab_server.meta."""

from __future__ import annotations

from typing import TYPE_CHECKING

from umslab_server.meta import read_meta, write_meta
from umslab_server.schema import SCHEMA_VERSION

if TYPE_CHECKING:
    from .parts import Office


async def test_kept_by_name(office: Office) -> None:
    """The last value counts; what was never written is not there."""
    before = await office.store.read(lambda connection: read_meta(connection, "x"))
    for value in ("one", "two"):
        await office.store.change(lambda writer, value=value: write_meta(writer.connection, "x", value))  # type: ignore[misc]

    assert before is None
    assert await office.store.read(lambda connection: read_meta(connection, "x")) == "two"
    assert await office.store.read(lambda connection: read_meta(connection, "schema_version")) == str(SCHEMA_VERSION)
