# SPDX-License-Identifier: Apache-2.0
"""The path where a device without a key asks for the token of automatic registration (SIMULATED: A6, NP12)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from umslab_protocol.errors import InvalidValueError
from umslab_protocol.wire.registration_token import CONTENT_TYPE, read_request, write_answer
from umslab_runtime.http import Request, Response, retry_after, text_response
from umslab_server.automatic import TOKEN_SECONDS, Token
from umslab_server.store import StoreError

if TYPE_CHECKING:
    from umslab_server.automatic import Automatic

BUSY_SECONDS = 5.0


class AutomaticFront:
    """Serves the path."""

    def __init__(self, automatic: Automatic, *, enrolment: str) -> None:
        """`enrolment` is the address where tokens are to be used, if that is another one (S7)."""
        self._automatic = automatic
        self._enrolment = enrolment

    async def post(self, request: Request) -> Response:
        """Everybody may ask; who gets one is decided behind."""
        try:
            unit_id = read_request(request.body)
        except InvalidValueError as error:
            return text_response(400, str(error))
        try:
            answer = await self._automatic.issue(unit_id, request.peer.address.host)
        except StoreError:
            return text_response(503, "the registry is busy", [retry_after(BUSY_SECONDS)])
        if isinstance(answer, Token):
            headers = [("Content-Type", CONTENT_TYPE), ("Cache-Control", "no-store")]
            return Response(200, headers, write_answer(answer.text, TOKEN_SECONDS, self._enrolment))
        waits = [] if answer.retry_after is None else [retry_after(answer.retry_after)]
        return text_response(answer.status, answer.message, waits)
