# SPDX-License-Identifier: Apache-2.0
"""Requests and responses as both sides' logic sees them: no h11, no sockets.

Provenance: standard (RFC 9110, RFC 9112).
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from umslab_runtime.streams import Address, HttpStream

Headers = list[tuple[str, str]]


@dataclass(frozen=True, slots=True)
class Peer:
    """Who is at the other end of a connection."""

    address: Address
    tls_version: str | None = None
    certificate: bytes | None = None
    """DER of the client certificate of the TLS handshake, if one was presented and verified."""


@dataclass(frozen=True, slots=True)
class Request:
    """One HTTP request, complete."""

    method: str
    path: str
    """Without the query, percent-escapes untouched."""
    query: str
    headers: Headers
    """Names in lower case, in order."""
    body: bytes
    peer: Peer

    def header(self, name: str) -> str | None:
        """The first header of that (lower-case) name."""
        return next((value for key, value in self.headers if key == name), None)


@dataclass(frozen=True, slots=True)
class Response:
    """One HTTP response, complete. Content-Length, Date and Server are added on the way out."""

    status: int
    headers: Headers = field(default_factory=list)
    body: bytes = b""

    def header(self, name: str) -> str | None:
        """The first header of that name, in any case."""
        wanted = name.lower()
        return next((value for key, value in self.headers if key.lower() == wanted), None)


class SwitchedRun(Protocol):
    """Carries a connection after 101 to its end; the caller closes the stream."""

    async def __call__(self, stream: HttpStream, first_bytes: bytes, /) -> None:
        """Run with the bytes that came behind the request."""


@dataclass(frozen=True, slots=True)
class Upgrade:
    """The answer 101: from here on the connection belongs to `run(stream, first_bytes)`."""

    headers: Headers
    run: SwitchedRun


class Application(Protocol):
    """What an HTTP server serves."""

    async def __call__(self, request: Request, /) -> Response | Upgrade:
        """Answer one request; must not raise for anything a peer sends."""


def text_response(status: int, message: str, headers: Headers | None = None) -> Response:
    """Answer with one line of text for people, as RFC 7030 wants refusals to be readable."""
    return Response(status, [("Content-Type", "text/plain; charset=utf-8"), *(headers or [])], f"{message}\n".encode())


def retry_after(seconds: float) -> tuple[str, str]:
    """Return a Retry-After header, in whole seconds rounded up (RFC 9110 section 10.2.3)."""
    return ("Retry-After", str(max(1, math.ceil(seconds))))
