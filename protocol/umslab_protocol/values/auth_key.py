# SPDX-License-Identifier: Apache-2.0
"""First-authentication keys, in the vendor's words "one-time passwords" (facts K1-K4).

Provenance: the kinds are documented (K1); no format rule is published (K4), so the rule here is ours: 1 to 64
printable ASCII characters without spaces, compared exactly.
"""

from __future__ import annotations

import re
from enum import StrEnum

from umslab_protocol.errors import InvalidValueError

MAX_KEY_CHARACTERS = 64
GENERATED_KEY_DIGITS = 17  # like the vendor's samples (K4)


class KeyKind(StrEnum):
    """What a key may be used for (K1)."""

    ONE_TIME = "one-time"
    BOUND = "bound"
    MASS = "mass"


def parse_auth_key(text: str) -> str:
    """Return the key, or raise `InvalidValueError`; the message never contains the key."""
    if len(text) > MAX_KEY_CHARACTERS or not re.fullmatch(r"[\x21-\x7e]+", text):
        raise InvalidValueError(
            f"a first-authentication key has 1 to {MAX_KEY_CHARACTERS} printable ASCII characters without spaces"
        )
    return text
