# SPDX-License-Identifier: Apache-2.0
"""HTTP/1.1 on one connection: h11 does the protocol, this file the waiting.

A connection goes round: idle → headers → body → answer → idle, each with a deadline of its own, until one side closes
or the application answers with an upgrade. What a peer does wrong is answered with the right status and a closed
connection; nothing a peer does raises.
"""

from __future__ import annotations

from email.utils import format_datetime
from typing import TYPE_CHECKING

import h11
import trio

from umslab_runtime.http import Headers, Peer, Request, Response, Upgrade, text_response

if TYPE_CHECKING:
    from umslab_runtime.clock import Clock
    from umslab_runtime.http import Application, SwitchedRun
    from umslab_runtime.limits import Limits
    from umslab_runtime.tls import TLSStream


class _RefuseError(Exception):
    """The request cannot be served: answer this and close."""

    def __init__(self, response: Response) -> None:
        super().__init__(response.status)
        self.response = response


class _GoneError(Exception):
    """The peer went away or fell silent between requests: nobody to answer."""


class HttpConnection:
    """Serves requests on one TLS stream until it closes or is upgraded."""

    def __init__(self, stream: TLSStream, app: Application, *, limits: Limits, clock: Clock, server_name: str) -> None:
        self._stream = stream
        self._app = app
        self._limits = limits
        self._clock = clock
        self._server_name = server_name
        self._h11 = h11.Connection(h11.SERVER, max_incomplete_event_size=limits.header_bytes)
        self._peer = Peer(stream.peer, stream.version, stream.peer_certificate)
        self._closing = False

    def close_when_idle(self) -> None:
        """Finish the request under way, then close: the answer says `Connection: close`."""
        self._closing = True

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
        head = await self._read_head()
        target = head.target.decode("ascii")  # h11 allows visible ASCII only
        path, _, query = target.partition("?")
        headers = [(name.decode("ascii"), value.decode("latin-1")) for name, value in head.headers]
        body = await self._read_body(headers)
        return Request(head.method.decode("ascii"), path, query, headers, body, self._peer)

    async def _read_head(self) -> h11.Request:
        event = self._next_event()
        if event is h11.NEED_DATA and not self._h11.trailing_data[0]:
            with trio.move_on_after(self._limits.idle_seconds) as idle:
                await self._feed()
            if idle.cancelled_caught:
                raise _GoneError
            event = self._next_event()
        with trio.move_on_after(self._limits.header_seconds) as patience:
            while event is h11.NEED_DATA:
                await self._feed()
                event = self._next_event()
        if patience.cancelled_caught:
            raise _RefuseError(text_response(408, "the headers of the request took too long"))
        if isinstance(event, h11.Request):
            return event
        raise _GoneError  # ConnectionClosed, or PAUSED after a peer that said close

    async def _read_body(self, headers: Headers) -> bytes:
        self._refuse_long_body(headers)
        if self._h11.they_are_waiting_for_100_continue:
            await self._send(self._h11.send(h11.InformationalResponse(status_code=100, headers=[])) or b"")
        parts: list[bytes] = []
        size = 0
        with trio.move_on_after(self._limits.body_seconds):
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
        raise _RefuseError(text_response(408, "the body of the request took too long"))

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
        data = await self._stream.receive_some()
        try:
            self._h11.receive_data(data)
        except h11.RemoteProtocolError:
            raise _GoneError from None  # data after its own end of stream

    # Writing.

    async def _send_response(self, answer: Response, *, head_only: bool | None = None) -> None:
        headers = [*answer.headers, ("Date", format_datetime(self._clock.utc(), usegmt=True))]
        headers.append(("Server", self._server_name))
        no_body = answer.status in {204, 304}
        if not no_body:
            headers.append(("Content-Length", str(len(answer.body))))
        if self._closing:
            headers.append(("Connection", "close"))
        head = h11.Response(status_code=answer.status, headers=headers)
        out = [self._h11.send(head)]
        is_head = self._h11_request_was_head() if head_only is None else head_only
        if answer.body and not no_body and not is_head:
            out.append(self._h11.send(h11.Data(data=answer.body)))
        out.append(self._h11.send(h11.EndOfMessage()))
        await self._send(b"".join(part for part in out if part))

    def _h11_request_was_head(self) -> bool:
        return self._h11._request_method == b"HEAD"  # noqa: SLF001

    async def _send_refusal(self, response: Response) -> None:
        self._closing = True
        try:
            if self._h11.our_state in {h11.IDLE, h11.SEND_RESPONSE}:
                await self._send_response(response)
        except (trio.BrokenResourceError, trio.ClosedResourceError, h11.LocalProtocolError):
            pass
        await self._stream.aclose_after_error()

    async def _switch(self, upgrade: Upgrade) -> tuple[SwitchedRun, bytes]:
        headers = [*upgrade.headers, ("Server", self._server_name)]
        await self._send(self._h11.send(h11.InformationalResponse(status_code=101, headers=headers)) or b"")
        return upgrade.run, self._h11.trailing_data[0]

    async def _send(self, data: bytes) -> None:
        with trio.move_on_after(self._limits.write_seconds):
            await self._stream.send_all(data)
            return
        raise trio.BrokenResourceError("the peer does not read what it is sent")
