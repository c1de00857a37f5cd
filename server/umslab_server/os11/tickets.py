# SPDX-License-Identifier: Apache-2.0
"""Whose request it is on the file transfer port of OS 11 (E7, FU1): that tells a ticket.

The device makes it with its key (wire/os11_proof.py) and sends it as HTTP Basic credentials (RFC 7617): its unit ID is
the user, `EXPIRES:TICKET` the password. SIMULATED. The server keeps nothing for it.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from umslab_protocol.errors import InvalidValueError
from umslab_protocol.values.unit_id import UnitId, parse_unit_id
from umslab_protocol.wire.basic_auth import parse_basic
from umslab_protocol.wire.close_codes import Refusal
from umslab_protocol.wire.os11_proof import is_same, make_file_ticket
from umslab_server.device_sessions import BUSY
from umslab_server.os11 import known
from umslab_server.sessions import NotAdmitted
from umslab_server.store import StoreError

if TYPE_CHECKING:
    from umslab_runtime.clock import Clock
    from umslab_runtime.http import Request
    from umslab_server.store import Store

MAX_TICKET_SECONDS = 86_400
"""How far ahead a ticket may end."""
NO_TICKET = NotAdmitted(401, Refusal.REFUSED, "a file is fetched with a ticket, as HTTP Basic credentials")
WRONG_TICKET = NotAdmitted(403, Refusal.REFUSED, "this ticket does not open this file now")
_PASSWORD = re.compile(r"([0-9]{1,12}):([0-9a-f]{64})", re.ASCII)


class Tickets:
    """Judges requests by their ticket."""

    def __init__(self, store: Store, *, clock: Clock) -> None:
        self._store = store
        self._clock = clock

    async def judge(self, request: Request, digest: str, /) -> UnitId | NotAdmitted:
        """Decide whose request for this file it is. A device that is not registered and a wrong ticket look alike."""
        given = next((value for name, value in request.headers if name == "authorization"), None)
        if given is None:
            return NO_TICKET
        try:
            user, password = parse_basic(given)
            unit_id = parse_unit_id(user)
        except InvalidValueError as error:
            return NotAdmitted(401, Refusal.REFUSED, str(error))
        ticket = _PASSWORD.fullmatch(password)
        now = self._clock.utc().timestamp()
        if ticket is None or not now <= int(ticket[1]) <= now + MAX_TICKET_SECONDS:
            return WRONG_TICKET
        try:
            found = await self._store.read(lambda connection: known.find(connection, unit_id))
        except StoreError:
            return BUSY
        if found is None or not found.registered:
            return WRONG_TICKET
        expected = make_file_ticket(found.key, unit_id, digest, int(ticket[1]))
        return unit_id if is_same(ticket[2], expected) else WRONG_TICKET
