# SPDX-License-Identifier: Apache-2.0
"""Devices that were deleted; what they are told: test_device_sessions.py."""

from __future__ import annotations

from umslab_server import tombstones

from .parts import Office, unit_id


async def test_buried_once(office: Office) -> None:
    """However often a device is deleted, it is to be told once; forgetting says whether there was anything."""
    for _ in range(2):
        await office.store.change(lambda writer: tombstones.bury(writer, unit_id(1)))
    forgotten = [await office.store.change(lambda writer: tombstones.unbury(writer, unit_id(1))) for _ in range(2)]

    assert forgotten == [True, False]
