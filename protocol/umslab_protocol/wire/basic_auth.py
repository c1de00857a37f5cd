# SPDX-License-Identifier: Apache-2.0
"""HTTP Basic credentials (RFC 7617), which carry the first-authentication key as their password.

Provenance: the header is standard; that the key travels in it is simulated (X6: IGEL's carrier is unknown; Basic is RFC
7030's own choice, section 3.2.3). The user name is ignored: identity comes from the CSR only.
"""

from __future__ import annotations

import binascii

from umslab_protocol.errors import InvalidValueError

CHALLENGE = 'Basic realm="umslab enrolment", charset="UTF-8"'


def format_basic(user: str, password: str) -> str:
    """Return the value of an Authorization header."""
    return "Basic " + binascii.b2a_base64(f"{user}:{password}".encode(), newline=False).decode("ascii")


def parse_basic(value: str) -> tuple[str, str]:
    """Return (user, password) of an Authorization header, or raise `InvalidValueError`; never repeats the value."""
    scheme, _, token = value.strip().partition(" ")
    if scheme.lower() != "basic":
        raise InvalidValueError("the Authorization header does not use the Basic scheme")
    try:
        text = binascii.a2b_base64(token.strip(), strict_mode=True).decode("utf-8")
    except ValueError:  # also binascii.Error and UnicodeDecodeError
        raise InvalidValueError("the Basic credentials are not base64 of UTF-8 text") from None
    user, colon, password = text.partition(":")
    if not colon:
        raise InvalidValueError("the Basic credentials have no colon between user and password")
    return user, password
