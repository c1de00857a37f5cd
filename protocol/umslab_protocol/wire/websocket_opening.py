# SPDX-License-Identifier: Apache-2.0
"""The opening handshake of a WebSocket (RFC 6455 section 4), on parsed headers.

Provenance: standard. No extension is offered or accepted: permessage-deflate costs 92 KiB a connection, and
whether IGEL's payload compression is RFC 7692 is unknown (W13).
"""

from __future__ import annotations

import base64
import hashlib
import hmac
from collections.abc import Iterable, Sequence

from umslab_protocol.errors import RemoteProtocolError

_GUID = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"  # RFC 6455 section 1.3

Headers = Sequence[tuple[str, str]]


class OpeningRefused(Exception):  # noqa: N818 - an answer, not an error of ours
    """The request does not open a WebSocket: answer this status and say why."""

    def __init__(self, status: int, reason: str, headers: list[tuple[str, str]] | None = None) -> None:
        super().__init__(reason)
        self.status = status
        self.reason = reason
        self.headers = headers or []


def accept_value(key: str) -> str:
    """Return Sec-WebSocket-Accept for a Sec-WebSocket-Key (RFC 6455 section 4.2.2)."""
    digest = hashlib.sha1((key + _GUID).encode("ascii"), usedforsecurity=False).digest()
    return base64.b64encode(digest).decode("ascii")


def answer_opening(headers: Headers, supported: Iterable[str]) -> list[tuple[str, str]]:
    """Return the headers of the 101 answer to a GET with these (lower-case) headers.

    The first subprotocol the client offers and we support is chosen; a client that offers none gets none. Raises
    `OpeningRefused`: 426 for a plain request or a foreign version, 400 for a broken one.
    """
    if "websocket" not in _tokens(headers, "upgrade") or "upgrade" not in _tokens(headers, "connection"):
        raise OpeningRefused(426, "this path is opened as a WebSocket", [("Upgrade", "websocket")])
    if _one(headers, "sec-websocket-version") != "13":
        raise OpeningRefused(426, "WebSocket version 13 is spoken here", [("Sec-WebSocket-Version", "13")])
    key = _one(headers, "sec-websocket-key")
    if key is None or not _is_key(key):
        raise OpeningRefused(400, "Sec-WebSocket-Key is missing or not 16 bytes in base64")
    answer = [("Upgrade", "websocket"), ("Connection", "Upgrade"), ("Sec-WebSocket-Accept", accept_value(key))]
    offered = _tokens(headers, "sec-websocket-protocol", fold=False)
    wanted = set(supported)
    if chosen := next((name for name in offered if name in wanted), None):
        answer.append(("Sec-WebSocket-Protocol", chosen))
    return answer


def opening_request(key: bytes, subprotocols: Sequence[str] = ()) -> list[tuple[str, str]]:
    """Return the headers with which a client asks; `key` is 16 random bytes."""
    headers = [
        ("Upgrade", "websocket"),
        ("Connection", "Upgrade"),
        ("Sec-WebSocket-Version", "13"),
        ("Sec-WebSocket-Key", base64.b64encode(key).decode("ascii")),
    ]
    return [*headers, ("Sec-WebSocket-Protocol", ", ".join(subprotocols))] if subprotocols else headers


def check_answer(headers: Headers, key: bytes, offered: Sequence[str] = ()) -> str | None:
    """Check the (lower-case) headers of a 101 answer; return the chosen subprotocol.

    Raises `RemoteProtocolError` when the server did not understand what it agreed to (RFC 6455 section 4.1).
    """
    expected = accept_value(base64.b64encode(key).decode("ascii"))
    given = _one(headers, "sec-websocket-accept") or ""
    if "websocket" not in _tokens(headers, "upgrade") or "upgrade" not in _tokens(headers, "connection"):
        raise RemoteProtocolError("the server's 101 answer does not name websocket", code="bad-upgrade")
    if not hmac.compare_digest(given.encode("latin-1", "replace"), expected.encode("ascii")):
        raise RemoteProtocolError("the server's Sec-WebSocket-Accept does not fit our key", code="bad-upgrade")
    if _tokens(headers, "sec-websocket-extensions"):
        raise RemoteProtocolError("the server chose an extension nobody offered", code="bad-upgrade")
    chosen = _values(headers, "sec-websocket-protocol")
    if len(chosen) > 1 or not set(chosen) <= set(offered):
        raise RemoteProtocolError("the server chose a subprotocol nobody offered", code="bad-upgrade")
    return chosen[0] if chosen else None


def _values(headers: Headers, name: str) -> list[str]:
    return [value.strip() for key, value in headers if key == name]


def _one(headers: Headers, name: str) -> str | None:
    values = _values(headers, name)
    return values[0] if len(values) == 1 else None


def _tokens(headers: Headers, name: str, *, fold: bool = True) -> list[str]:
    joined = ",".join(_values(headers, name))
    return [(token.lower() if fold else token) for part in joined.split(",") if (token := part.strip())]


def _is_key(text: str) -> bool:
    try:
        return len(base64.b64decode(text, validate=True)) == 16
    except ValueError:  # also binascii.Error
        return False
