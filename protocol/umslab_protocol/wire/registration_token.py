# SPDX-License-Identifier: Apache-2.0
"""The authentication token of automatic registration: asked for with a unit ID, used once as first-authentication key.

Provenance: SIMULATED. That devices fetch a token first is documented (A6); URL, format and rule are not (NP12).
"""

from __future__ import annotations

from typing import Annotated, TypeVar

import msgspec
from msgspec import Meta, Struct

from umslab_protocol.errors import InvalidValueError
from umslab_protocol.values.auth_key import parse_auth_key
from umslab_protocol.values.unit_id import UnitId, parse_unit_id

CONTENT_TYPE = "application/json"
MAX_BYTES = 1_024


class TokenRequest(Struct, frozen=True, kw_only=True):
    """Device to server."""

    unitID: str  # noqa: N815 - the published name


class TokenAnswer(Struct, frozen=True, kw_only=True):
    """Server to device."""

    token: str
    expiresIn: Annotated[float, Meta(gt=0, le=86_400)]  # noqa: N815 - like its neighbours
    """Seconds."""


def write_request(unit_id: UnitId) -> bytes:
    """Write what a device asks."""
    return msgspec.json.encode(TokenRequest(unitID=unit_id))


def read_request(body: bytes) -> UnitId:
    """Read what a device asks; raises `InvalidValueError`."""
    return parse_unit_id(_read(body, TokenRequest).unitID)


def write_answer(token: str, seconds: float) -> bytes:
    """Write what the server answers."""
    return msgspec.json.encode(TokenAnswer(token=token, expiresIn=seconds))


def read_answer(body: bytes) -> str:
    """Read the token out of an answer; raises `InvalidValueError`."""
    return parse_auth_key(_read(body, TokenAnswer).token)


T = TypeVar("T", bound=Struct)


def _read(body: bytes, kind: type[T]) -> T:
    if len(body) > MAX_BYTES:
        raise InvalidValueError(f"a registration token message has at most {MAX_BYTES} bytes")
    try:
        return msgspec.json.decode(body, type=kind)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise InvalidValueError(f"this is no registration token message: {error}") from None
