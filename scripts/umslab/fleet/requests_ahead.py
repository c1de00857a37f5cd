# SPDX-License-Identifier: Apache-2.0
"""What devices need keys for, made before a fleet starts, in worker processes when it takes long.

For OS 12 a certificate request; for OS 11 the device's own certificate (G10).
"""

from __future__ import annotations

import multiprocessing
from concurrent.futures import ProcessPoolExecutor
from datetime import UTC, datetime
from typing import TYPE_CHECKING, NamedTuple

from umslab_agent.fleet.resources import KEY_SECONDS
from umslab_agent.folder import new_request
from umslab_agent.os11.keeping import new_certificate
from umslab_certs.keys import KeyType
from umslab_protocol.values.unit_id import UnitId

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

INLINE_SECONDS = 2.0
"""What takes less is made by this process itself: starting others takes longer."""
_CHUNK_SECONDS = 1.0


class Wanted(NamedTuple):
    """One device, and the type of its key."""

    unit_id: str
    key_type: str
    os11: bool = False


def make_requests(
    wanted: Sequence[Wanted], *, processes: int, made: Callable[[int], None] = lambda _: None
) -> dict[str, bytes]:
    """Return what `place_request` or `place_certificate` takes, by unit ID; `made` is told now and then how many."""
    seconds = [KEY_SECONDS[KeyType(one.key_type)] for one in wanted]
    found: dict[str, bytes] = {}
    if sum(seconds) <= INLINE_SECONDS or processes < 2:
        for chunk in _chunks(wanted, seconds):
            found |= make_chunk(chunk)
            made(len(found))
        return found
    # Workers that inherit nothing: this process may have threads.
    with ProcessPoolExecutor(processes, mp_context=multiprocessing.get_context("spawn")) as pool:
        try:
            for part in pool.map(make_chunk, _chunks(wanted, seconds)):
                found |= part
                made(len(found))
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise
    return found


def make_chunk(wanted: Sequence[Wanted]) -> dict[str, bytes]:
    """Make some."""
    return {one.unit_id: _make(one) for one in wanted}


def _make(one: Wanted) -> bytes:
    kind = KeyType(one.key_type)
    if one.os11:
        return new_certificate(kind, datetime.now(UTC))
    return new_request(UnitId(one.unit_id), kind)[0]


def _chunks(wanted: Sequence[Wanted], seconds: Sequence[float]) -> list[list[Wanted]]:
    """Cut the work into pieces of about a second."""
    chunks: list[list[Wanted]] = []
    room = 0.0
    for one, cost in zip(wanted, seconds, strict=True):
        if room <= 0:
            chunks.append([])
            room = _CHUNK_SECONDS
        chunks[-1].append(one)
        room -= cost
    return chunks
