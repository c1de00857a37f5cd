# SPDX-License-Identifier: Apache-2.0
"""Keys and certificate requests made before a fleet starts, in worker processes when they take long."""

from __future__ import annotations

import multiprocessing
from concurrent.futures import ProcessPoolExecutor
from typing import TYPE_CHECKING

from umslab_agent.fleet.resources import KEY_SECONDS
from umslab_agent.folder import new_request
from umslab_certs.keys import KeyType
from umslab_protocol.values.unit_id import UnitId

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

INLINE_SECONDS = 2.0
"""What takes less is made by this process itself: starting others takes longer."""
_CHUNK_SECONDS = 1.0

Wanted = tuple[str, str]
"""A unit ID and a key type."""


def make_requests(
    wanted: Sequence[Wanted], *, processes: int, made: Callable[[int], None] = lambda _: None
) -> dict[str, bytes]:
    """Return what `DeviceFolder.place_request` takes, by unit ID; `made` is told now and then how many there are."""
    seconds = [KEY_SECONDS[KeyType(key_type)] for _, key_type in wanted]
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
    return {unit_id: new_request(UnitId(unit_id), KeyType(key_type))[0] for unit_id, key_type in wanted}


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
