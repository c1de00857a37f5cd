# SPDX-License-Identifier: Apache-2.0
"""The id of a request, which the server repeats in its answer: so a proxy's answer is told apart from a server's.

Provenance: SIMULATED (NP31). Nothing is known of such a header of IGEL's; a server that does not know it ignores it.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

REQUEST_HEADER = "Umslab-Request"

_ID = re.compile(r"[A-Za-z0-9._-]{1,64}", re.ASCII)  # what another sends is not repeated


def repeated_headers(headers: Sequence[tuple[str, str]]) -> list[tuple[str, str]]:
    """Return what an answer to a request with these (lower-case) headers repeats: its id, if it is one."""
    found = next((value for name, value in headers if name == REQUEST_HEADER.lower()), "")
    return [(REQUEST_HEADER, found)] if _ID.fullmatch(found) else []
