# SPDX-License-Identifier: Apache-2.0
"""HTTP/1.1 from the client's side: one connection, requests one after the other, perhaps a WebSocket at the end."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

import h11
import trio

from umslab_protocol.errors import RemoteProtocolError
from umslab_protocol.wire.request_id import REQUEST_HEADER
from umslab_protocol.wire.websocket_opening import check_answer, opening_request
from umslab_runtime.http import Headers, Response

if TYPE_CHECKING:
    from collections.abc import Sequence

    from umslab_runtime.streams import HttpStream
    from umslab_runtime.tls import TLSStream

MAX_HEADER_BYTES = 32 * 1024
MAX_BODY_BYTES = 1024 * 1024
USER_AGENT = "umslab-device (simulation)"


class Tap(Protocol):
    """Sees what is said, for a protocol dump."""

    def __call__(self, direction: str, what: str, text: bytes, /) -> None:
        """`direction` is ">" for what we send and "<" for what we receive; `what` names the kind of unit."""


@dataclass(frozen=True, slots=True)
class Opened:
    """A WebSocket is open: the subprotocol the server chose, and the bytes that came behind its answer."""

    subprotocol: str | None
    first_bytes: bytes


class HttpClientConnection:
    """Requests on a TLS stream whose handshake is done.

    Every method raises `RemoteProtocolError` for an answer that is not HTTP or too large, and Trio's broken-stream
    errors when the connection breaks. The caller bounds the time and closes the stream.
    """

    def __init__(
        self,
        stream: TLSStream,
        host: str,
        tap: Tap | None = None,
        *,
        max_body_bytes: int = MAX_BODY_BYTES,
        request_id: str = "",
    ) -> None:
        """`host` is the value of the Host header: name and port as the user knows them.

        `request_id` goes with every request, for the server to repeat (wire/request_id.py).
        """
        self._request_id = request_id
        self._tap = tap
        self._max_body_bytes = max_body_bytes
        self._stream = stream
        self._host = host
        self._h11 = h11.Connection(h11.CLIENT, max_incomplete_event_size=MAX_HEADER_BYTES)

    async def request(
        self, method: str, path: str, *, headers: Headers | None = None, body: bytes | None = None
    ) -> Response:
        """Send a request and return the whole answer."""
        await self._send_request(method, path, headers or [], body)
        head = await self._read_head()
        if isinstance(head, h11.InformationalResponse):
            raise RemoteProtocolError("the server switched protocols without being asked", code="bad-upgrade")
        answer = await self._read_rest(head)
        if self._h11.our_state is h11.DONE and self._h11.their_state is h11.DONE:
            self._h11.start_next_cycle()
        return answer

    async def open_websocket(self, path: str, *, key: bytes, subprotocols: Sequence[str] = ()) -> Opened | Response:
        """Ask to open a WebSocket; return it, or the server's refusal. `key` is 16 random bytes."""
        await self._send_request("GET", path, opening_request(key, subprotocols), None)
        head = await self._read_head()
        headers = _text_headers(head)
        if isinstance(head, h11.InformationalResponse):
            chosen = check_answer([(name.lower(), value) for name, value in headers], key, subprotocols)
            self._show(Response(head.status_code, headers))
            return Opened(chosen, self._h11.trailing_data[0])
        return await self._read_rest(head)

    @property
    def reusable(self) -> bool:
        """Whether another request can be sent on this connection."""
        return self._h11.our_state is h11.IDLE

    async def _send_request(self, method: str, path: str, headers: Headers, body: bytes | None) -> None:
        all_headers = [("Host", self._host), ("User-Agent", USER_AGENT), *headers]
        if self._request_id:
            all_headers.append((REQUEST_HEADER, self._request_id))
        if body is not None:
            all_headers.append(("Content-Length", str(len(body))))
        parts = [self._h11.send(h11.Request(method=method, target=path, headers=all_headers))]
        if body:
            parts.append(self._h11.send(h11.Data(data=body)))
        parts.append(self._h11.send(h11.EndOfMessage()))
        data = b"".join(part for part in parts if part)
        if self._tap is not None:
            self._tap(">", "http request", data)
        await self._stream.send_all(data)

    async def _read_head(self) -> h11.Response | h11.InformationalResponse:
        while True:
            event = await self._next_event()
            if isinstance(event, h11.Response):
                return event
            if isinstance(event, h11.InformationalResponse) and event.status_code == 101:
                return event

    async def _read_rest(self, head: h11.Response) -> Response:
        answer = Response(head.status_code, _text_headers(head), await self._read_body())
        self._show(answer)
        return answer

    def _show(self, answer: Response) -> None:
        if self._tap is not None:
            lines = [f"HTTP/1.1 {answer.status}", *(f"{name}: {value}" for name, value in answer.headers)]
            self._tap("<", "http answer", "\r\n".join(lines).encode("latin-1") + b"\r\n\r\n" + answer.body)

    async def _read_body(self) -> bytes:
        parts: list[bytes] = []
        size = 0
        while True:
            event = await self._next_event()
            if isinstance(event, h11.Data):
                size += len(event.data)
                if size > self._max_body_bytes:
                    most = self._max_body_bytes
                    raise RemoteProtocolError(f"the answer has more than {most} bytes", code="too-large")
                parts.append(bytes(event.data))
            elif isinstance(event, h11.EndOfMessage):
                return b"".join(parts)

    async def _next_event(self) -> h11.Event:
        try:
            while True:
                event = self._h11.next_event()
                if event is h11.NEED_DATA:
                    self._h11.receive_data(await self._receive())
                elif isinstance(event, h11.Event):
                    return event
                else:
                    raise RemoteProtocolError("the server's answer has an end nobody expected", code="not-http")
        except h11.RemoteProtocolError as error:
            raise RemoteProtocolError(f"the server's answer is not HTTP: {error}", code="not-http") from None

    async def _receive(self) -> bytes:
        data = await self._stream.receive_some()
        if not data and self._h11.their_state is h11.SEND_RESPONSE and not self._h11.trailing_data[0]:
            raise RemoteProtocolError("the server closed the connection instead of answering", code="no-answer")
        return data


def _text_headers(head: h11.Response | h11.InformationalResponse) -> Headers:
    return [(name.decode("ascii"), value.decode("latin-1")) for name, value in head.headers]


async def close_quietly(stream: HttpStream, *, within: float = 3.0) -> None:
    """Close a stream, also when cancelled, in bounded time."""
    with trio.move_on_after(within, shield=True):
        await stream.aclose()
