# SPDX-License-Identifier: Apache-2.0
"""The authentication token of automatic registration: asked for with a unit ID, used once as first-authentication key.

Provenance: SIMULATED. That devices fetch a token first is documented (A6); URL, format and rule are not (NP12).
"""

from __future__ import annotations

from typing import Annotated

import msgspec
from msgspec import Meta, Struct

from umslab_protocol.values.auth_key import parse_auth_key
from umslab_protocol.values.est_address import EstAddress, parse_est_address
from umslab_protocol.values.unit_id import UnitId, parse_unit_id
from umslab_protocol.wire.json_body import read_json
from umslab_protocol.wire.orders import EnrolmentAddress

CONTENT_TYPE = "application/json"
MAX_BYTES = 1_024


class TokenRequest(Struct, frozen=True, kw_only=True):
    """Device to server."""

    unitID: str  # noqa: N815 - the published name


class TokenAnswer(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Server to device."""

    token: str
    expiresIn: Annotated[float, Meta(gt=0, le=86_400)]  # noqa: N815 - like its neighbours
    """Seconds."""
    enrolment: EnrolmentAddress = ""
    """Where to enrol with it; empty: at the address that was asked (S7)."""


def write_request(unit_id: UnitId) -> bytes:
    """Write what a device asks."""
    return msgspec.json.encode(TokenRequest(unitID=unit_id))


def read_request(body: bytes) -> UnitId:
    """Read what a device asks; raises `InvalidValueError`."""
    return parse_unit_id(read_json(body, TokenRequest, max_bytes=MAX_BYTES, what="registration token").unitID)


def write_answer(token: str, seconds: float, enrolment: str = "") -> bytes:
    """Write what the server answers."""
    return msgspec.json.encode(TokenAnswer(token=token, expiresIn=seconds, enrolment=enrolment))


def read_answer(body: bytes) -> tuple[str, EstAddress | None]:
    """Read the token out of an answer, and where it is good if that is said; raises `InvalidValueError`."""
    answer = read_json(body, TokenAnswer, max_bytes=MAX_BYTES, what="registration token")
    return parse_auth_key(answer.token), parse_est_address(answer.enrolment) if answer.enrolment else None
