# SPDX-License-Identifier: Apache-2.0
"""Structure tags: the text by which directory rules place a device (section 6.2 of the facts).

Provenance: documented as free text; the limit of 100 characters is ours (the one documented for device attributes).
"""

from __future__ import annotations

from umslab_protocol.errors import InvalidValueError

MAX_TAG_CHARACTERS = 100


def parse_structure_tag(text: str) -> str:
    """Return the tag, or raise `InvalidValueError` for one that is too long or not printable."""
    if len(text) > MAX_TAG_CHARACTERS or not text.isprintable():
        raise InvalidValueError(f"a structure tag is printable text of at most {MAX_TAG_CHARACTERS} characters")
    return text
