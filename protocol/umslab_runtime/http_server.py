# SPDX-License-Identifier: Apache-2.0
"""HTTP/1.1 on one connection: h11 does the protocol, this file the waiting.

A connection goes round: idle → headers → body → answer → idle, each with a deadline of its own, until one side closes
or the application answers with an upgrade. What a peer does wrong is answered with the right status and a closed
connection; nothing a peer does raises.
"""

from __future__ import annotations

from email.utils import format_datetime
from http.client import responses
from typing import TYPE_CHECKING

import h11
import trio

from umslab_protocol.wire.request_id import repeated_headers
from umslab_runtime.http import Headers, Peer, Request, Response, Upgrade, text_response

if TYPE_CHECKING:
    from umslab_runtime.clock import Clock
    from umslab_runtime.http import Application, SwitchedRun
    from umslab_runtime.limits import Limits
    from umslab_runtime.streams import HttpStream


_LATE_HEADERS = text_response(408, "the headers of the request took too long")
_LATE_BODY = text_response(408, "the body of the request took too long")


class _RefuseError(Exception):
    """The request cannot be served: answer this and close."""

    def __init__(self, response: Response) -> None:
        super().__init__(response.status)
        self.response = response


class _GoneError(Exception):
    """The peer went away or fell silent between requests: nobody to answer."""


class HttpConnection:
    """Serves requests on one stream until it closes or is upgraded."""

    def __init__(self, stream: HttpStream, app: Application, *, limits: Limits, clock: Clock, server_name: str) -> None:
        self._stream = stream
        self._app = app
        self._limits = limits
        self._clock = clock
        self._server_name = server_name
        self._h11 = h11.Connection(h11.SERVER, max_incomplete_event_size=limits.header_bytes)
        self._peer = Peer(stream.peer, stream.version, stream.peer_certificate)
        self._repeated: Headers = []
        """The id of the request, for its answer."""
        self.refused: int | None = None
        """The status of the refusal that ended the connection, if one did."""
        self._closing = False
        self._patience = trio.CancelScope()  # one a request; each phase moves its deadline
        self._idle = False
        self._late: Response | None = None

    def close_when_idle(self) -> None:
        """Finish the request under way, then close: its answer says `Connection: close`. Without one, close now."""
        self._closing = True
        if self._idle:
            self._patience.cancel()

    async def serve(self) -> tuple[SwitchedRun, bytes] | None:
        """Serve until the end, or until an upgrade: then return who carries on, and the bytes that came behind it.

        The caller closes the stream.
        """
        served = 0
        try:
            while True:
                request = await self._read_request()
                served += 1
                if served >= self._limits.requests_per_connection:
                    self._closing = True
                answer = await self._app(request)
                if isinstance(answer, Upgrade):
                    return await self._switch(answer)
                await self._send_response(answer)
                if self._h11.our_state is h11.MUST_CLOSE or self._h11.their_state is not h11.DONE:
                    await self._stream.aclose_after_error()
                    return None
                self._h11.start_next_cycle()
        except _GoneError:
            return None
        except _RefuseError as refusal:
            await self._send_refusal(refusal.response)
        except (trio.BrokenResourceError, trio.ClosedResourceError):
            pass
        return None

    # Reading.

    async def _read_request(self) -> Request:
        with trio.CancelScope() as self._patience:
            return await self._read_in_time()
        if self._late is None:
            raise _GoneError
        raise _RefuseError(self._late)

    def _allow(self, seconds: float, late: Response | None) -> None:
        """Give the phase that begins this much time; when it is over, answer `late`, or just go."""
        self._patience.deadline = trio.current_time() + seconds
        self._late = late

    async def _read_in_time(self) -> Request:
        self._repeated = []
        head = await self._read_head()
        if head.method == b"CONNECT":  # h11 would take any answer 2xx for a tunnel
            raise _RefuseError(text_response(501, "this server is no proxy"))
        target = head.target.decode("ascii")  # h11 allows visible ASCII only
        path, _, query = target.partition("?")
        headers = [(name.decode("ascii"), value.decode("latin-1")) for name, value in head.headers]
        self._repeated = repeated_headers(headers)
        body = await self._read_body(headers)
        return Request(head.method.decode("ascii"), path, query, headers, body, self._peer)

    async def _read_head(self) -> h11.Request:
        event = self._next_event()
        if event is h11.NEED_DATA and not self._h11.trailing_data[0]:
            if self._closing:
                raise _GoneError
            self._idle = True
            self._allow(self._limits.idle_seconds, None)
            await self._feed()
            self._idle = False
            event = self._next_event()
        if event is h11.NEED_DATA:
            self._allow(self._limits.header_seconds, _LATE_HEADERS)
            while event is h11.NEED_DATA:
                await self._feed()
                event = self._next_event()
        if not isinstance(event, h11.Request):
            raise _GoneError  # ConnectionClosed
        # h11 bounds what it waits for; a whole request that comes at once can be longer.
        size = len(event.target) + sum(len(name) + len(value) + 4 for name, value in event.headers)
        if size > self._limits.header_bytes:
            raise _RefuseError(
                text_response(431, f"request headers may have at most {self._limits.header_bytes} bytes")
            )
        return event

    async def _read_body(self, headers: Headers) -> bytes:
        self._refuse_long_body(headers)
        if self._h11.they_are_waiting_for_100_continue:
            await self._send(
                self._h11.send(h11.InformationalResponse(status_code=100, reason=responses[100], headers=[])) or b""
            )
        self._allow(self._limits.body_seconds, _LATE_BODY)
        parts: list[bytes] = []
        size = 0
        while True:
            event = self._next_event()
            if event is h11.NEED_DATA:
                await self._feed()
            elif isinstance(event, h11.Data):
                parts.append(bytes(event.data))
                size += len(event.data)
                if size > self._limits.body_bytes:
                    raise _RefuseError(self._too_large())
            elif isinstance(event, h11.EndOfMessage):
                return b"".join(parts)
            else:
                raise _GoneError

    def _refuse_long_body(self, headers: Headers) -> None:
        length = next((value for name, value in headers if name == "content-length"), "0")
        if int(length) > self._limits.body_bytes:  # h11 has checked that it is a number
            raise _RefuseError(self._too_large())

    def _too_large(self) -> Response:
        return text_response(413, f"a request body may have at most {self._limits.body_bytes} bytes")

    def _next_event(self) -> h11.Event | type[h11.NEED_DATA | h11.PAUSED]:
        try:
            return self._h11.next_event()
        except h11.RemoteProtocolError as error:
            status = error.error_status_hint if error.error_status_hint in {400, 431, 501} else 400
            raise _RefuseError(text_response(status, f"not a request this server can read: {error}")) from None

    async def _feed(self) -> None:
        self._h11.receive_data(await self._stream.receive_some())

    # Writing.

    async def _send_response(self, answer: Response) -> None:
        headers = [*answer.headers, *self._repeated, ("Date", format_datetime(self._clock.utc(), usegmt=True))]
        headers.append(("Server", self._server_name))
        no_body = answer.status in {204, 304}
        if not no_body:
            headers.append(("Content-Length", str(len(answer.body))))
        if self._closing:
            headers.append(("Connection", "close"))
        head = h11.Response(status_code=answer.status, reason=responses.get(answer.status, ""), headers=headers)
        out = [self._h11.send(head)]
        if answer.body and not no_body and not self._h11_request_was_head():
            out.append(self._h11.send(h11.Data(data=answer.body)))
        out.append(self._h11.send(h11.EndOfMessage()))
        await self._send(b"".join(part for part in out if part))

    def _h11_request_was_head(self) -> bool:
        return self._h11._request_method == b"HEAD"  # noqa: SLF001

    async def _send_refusal(self, response: Response) -> None:
        self._closing = True
        self.refused = response.status
        try:
            if self._h11.our_state in {h11.IDLE, h11.SEND_RESPONSE}:
                await self._send_response(response)
        except (trio.BrokenResourceError, trio.ClosedResourceError, h11.LocalProtocolError):
            pass
        await self._stream.aclose_after_error()

    async def _switch(self, upgrade: Upgrade) -> tuple[SwitchedRun, bytes]:
        headers = [*upgrade.headers, ("Server", self._server_name)]
        head = h11.InformationalResponse(status_code=101, reason=responses[101], headers=headers)
        await self._send(self._h11.send(head) or b"")
        return upgrade.run, self._h11.trailing_data[0]

    async def _send(self, data: bytes) -> None:
        rest = data[self._stream.send_nowait(data) :]
        if rest:
            with trio.move_on_after(self._limits.write_seconds) as patience:
                await self._stream.send_all(rest)
            if patience.cancelled_caught:
                raise trio.BrokenResourceError("the peer does not read what it is sent")
