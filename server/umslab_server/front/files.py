# SPDX-License-Identifier: Apache-2.0
"""Files for devices: `GET .../files/<SHA-256>` with the device's certificate (fact FU2).

Provenance: that devices download over HTTPS what the WebSocket ordered is documented; the path, its last step and the
statuses are SIMULATED.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from umslab_protocol.wire.close_codes import REFUSAL_HEADER
from umslab_runtime.http import Request, Response, retry_after, text_response
from umslab_server.sessions import NotAdmitted
from umslab_server.store import StoreError

if TYPE_CHECKING:
    from umslab_server.configuration.files import Files
    from umslab_server.device_sessions import DeviceSessions

_DIGEST = re.compile(r"[0-9a-f]{64}", re.ASCII)


class FileFront:
    """Serves GET below the path of files; the certificate is judged as `ws-connect` judges it, and not used up."""

    def __init__(self, files: Files, sessions: DeviceSessions) -> None:
        self._files = files
        self._sessions = sessions

    async def get(self, request: Request) -> Response:
        """Answer the content, or 403, 404, 410, 503; which files there are for others is nobody's business."""
        judged = await self._sessions.judge(request.peer)
        if isinstance(judged, NotAdmitted):
            headers = [(REFUSAL_HEADER, str(judged.refusal))]
            if judged.retry_after is not None:
                headers.append(retry_after(judged.retry_after))
            return text_response(judged.status, judged.message, headers)
        digest = request.path.rpartition("/")[2]
        try:
            content = await self._files.content(judged, digest) if _DIGEST.fullmatch(digest) else None
        except (StoreError, OSError):
            return text_response(503, "the file cannot be read now", [retry_after(5.0)])
        if content is None:
            return text_response(404, "no such file is assigned to this device")
        headers = [("Content-Type", "application/octet-stream"), ("Cache-Control", "private, no-store")]
        return Response(200, headers, content)
