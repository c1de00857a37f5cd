# SPDX-License-Identifier: Apache-2.0
"""The two pages monitors look at (facts E10, E11, ST1, R10).

Provenance: paths, the JSON object with one key and the product name in `/info` are documented; the rest of the `/info`
text is ours and says so.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from umslab_runtime.http import Request, Response, text_response

if TYPE_CHECKING:
    from umslab_server.status import StatusMonitor


class Pages:
    """Serves /ums/check-status and /info."""

    def __init__(self, status: StatusMonitor, version: str) -> None:
        self._status = status
        self._version = version

    async def check_status(self, request: Request) -> Response:
        """ST1: 200 and one key, whatever the state."""
        del request
        body = msgspec.json.encode({"status": await self._status.current()})
        return Response(200, [("Content-Type", "application/json"), ("Cache-Control", "no-store")], body)

    async def info(self, request: Request) -> Response:
        """E11: monitors search for the product's name."""
        del request
        return text_response(
            200,
            f"umslab {self._version}, a simulation of the IGEL Universal Management Suite; not affiliated with IGEL.\n"
            "Formats that IGEL does not publish are simulated here and are not IGEL's.",
        )
