# SPDX-License-Identifier: Apache-2.0
"""Reads the small JSON bodies that come over HTTP from anybody.

Provenance: standard (RFC 8259); what stands in such a body is said where it is defined.
"""

from __future__ import annotations

from typing import TypeVar

import msgspec

from umslab_protocol.errors import InvalidValueError

T = TypeVar("T", bound=msgspec.Struct)


def read_json(body: bytes, kind: type[T], *, max_bytes: int, what: str) -> T:
    """Return what the body says; `what` names the message, such as "load proof".

    Raises `InvalidValueError` for more than `max_bytes`, and for anything else than such a message.
    """
    if len(body) > max_bytes:
        raise InvalidValueError(f"a {what} message has at most {max_bytes} bytes")
    try:
        return msgspec.json.decode(body, type=kind)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise InvalidValueError(f"this is no {what} message: {error}") from None
