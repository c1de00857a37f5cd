# SPDX-License-Identifier: Apache-2.0
"""Fetches the files that the server ordered (facts FU1, FU2, W23), and keeps them below the device's folder.

Provenance: that a device is told on a session and fetches over HTTPS is documented; where OS 12 fetches and how it
proves who it is are ours (unit.py), for OS 11 see os11/errands.py.
"""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

import trio

from umslab_agent.explain import ERRORS, MAX_DETAIL, explain, explain_answer
from umslab_protocol.values.failure import Phase
from umslab_protocol.values.unit_id import UnitId
from umslab_runtime.dial_tls import dial_tls
from umslab_runtime.http_client import MAX_BODY_BYTES, HttpClientConnection, close_quietly

if TYPE_CHECKING:
    from umslab_agent.unit import Unit
    from umslab_protocol.wire.orders import FileOrder
    from umslab_runtime.http import Response

MAX_FILE_BYTES = 64 * 1024 * 1024
REQUEST_TIMEOUT = 600.0
"""Seconds for one whole file."""
TRIES = 4


class FileProblemError(Exception):
    """A file could not be had; the message is for the server's administrator."""


async def fetch(unit: Unit, order: FileOrder) -> None:
    """Fetch a file, check it and keep it, with `TRIES` tries. Raises `FileProblemError`."""
    if order.size > MAX_FILE_BYTES:
        raise FileProblemError(f"{order.name} has {order.size} bytes; this device takes at most {MAX_FILE_BYTES}")
    wait = unit.behaviour.file_retry_seconds
    for remaining in reversed(range(TRIES)):
        try:
            content = await _fetch_once(unit, order)
            break
        except FileProblemError:
            if not remaining:
                raise
        await unit.world.clock.sleep(wait)
        wait *= 2
    else:
        raise AssertionError("the last try returns or raises")

    try:
        await unit.world.executor.run(lambda: unit.folder.keep_file(order.name, content))
    except OSError as error:
        raise FileProblemError(f"{order.name} could not be kept: {error.strerror or error}") from None


async def _fetch_once(unit: Unit, order: FileOrder) -> bytes:
    try:
        answer = await _ask(unit, order)
    except (trio.BrokenResourceError, *ERRORS) as error:
        raise FileProblemError(f"{order.name}: {explain(Phase.SESSION, error).detail}"[:MAX_DETAIL]) from None
    if answer is None:
        raise FileProblemError(f"{order.name}: no answer within {REQUEST_TIMEOUT:g} seconds")
    if answer.status != 200:
        raise FileProblemError(f"{order.name}: {explain_answer(Phase.SESSION, answer).detail}"[:MAX_DETAIL])
    if len(answer.body) != order.size:
        raise FileProblemError(f"{order.name} has {len(answer.body)} bytes, not the {order.size} that were ordered")
    if hashlib.sha256(answer.body).hexdigest() != order.sha256:
        raise FileProblemError(f"{order.name} has another SHA-256 than the one that was ordered")
    return answer.body


async def _ask(unit: Unit, order: FileOrder) -> Response | None:
    errand = unit.errand(order.sha256)
    stream = await dial_tls(
        unit.world.network,
        errand.target,
        errand.identity.context,
        within=unit.parameters.connect_timeout,
        unit_id=UnitId(unit.persona.unit_id),
        prepare=errand.identity.prepare,
    )
    try:
        with trio.move_on_after(REQUEST_TIMEOUT):
            http = HttpClientConnection(
                stream, str(errand.target), unit.world.tap, max_body_bytes=max(order.size, MAX_BODY_BYTES)
            )
            return await http.request("GET", errand.path, headers=errand.headers)
        return None
    finally:
        await close_quietly(stream)


def is_there(unit: Unit, order: FileOrder) -> bool:
    """Whether a file of this name and size is kept; its content was checked when it came."""
    return unit.folder.file_size(order.name) == order.size
