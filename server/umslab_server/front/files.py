# SPDX-License-Identifier: Apache-2.0
"""Files for devices: `GET .../files/<SHA-256>` with the device's certificate (FU2), or with the ticket of OS 11 (FU1).

Provenance: that devices download over HTTPS what was ordered is documented, and `/ums_filetransfer` for OS 11 (E7);
the other path, the last step of both and the statuses are SIMULATED.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Protocol

from umslab_protocol.wire.close_codes import REFUSAL_HEADER
from umslab_runtime.http import Request, Response, retry_after, text_response
from umslab_server.sessions import NotAdmitted
from umslab_server.store import StoreError

if TYPE_CHECKING:
    from umslab_protocol.values.unit_id import UnitId
    from umslab_server.configuration.files import Files
    from umslab_server.device_sessions import DeviceSessions

_DIGEST = re.compile(r"[0-9a-f]{64}", re.ASCII)


class Judge(Protocol):
    """Decides whose request it is, for the file with this SHA-256."""

    async def __call__(self, request: Request, digest: str, /) -> UnitId | NotAdmitted:
        """Return the device, or why not."""


def by_certificate(sessions: DeviceSessions) -> Judge:
    """Judge the certificate as `ws-connect` judges it; it is not used up."""

    async def judge(request: Request, digest: str, /) -> UnitId | NotAdmitted:
        del digest
        return await sessions.judge(request.peer)

    return judge


class FileFront:
    """Serves GET below a path of files."""

    def __init__(self, files: Files, judge: Judge) -> None:
        self._files = files
        self._judge = judge

    async def get(self, request: Request) -> Response:
        """Answer the content, or 401, 403, 404, 410, 503; which files there are for others is nobody's business."""
        digest = request.path.rpartition("/")[2]
        if not _DIGEST.fullmatch(digest):
            return text_response(404, "a file is asked for by its SHA-256, 64 lower-case hexadecimal digits")
        judged = await self._judge(request, digest)
        if isinstance(judged, NotAdmitted):
            headers = [(REFUSAL_HEADER, str(judged.refusal))]
            if judged.retry_after is not None:
                headers.append(retry_after(judged.retry_after))
            if judged.status == 401:
                headers.append(("WWW-Authenticate", 'Basic realm="umslab file transfer", charset="UTF-8"'))
            return text_response(judged.status, judged.message, headers)
        try:
            content = await self._files.content(judged, digest)
        except (StoreError, OSError):
            return text_response(503, "the file cannot be read now", [retry_after(5.0)])
        if content is None:
            return text_response(404, "no such file is assigned to this device")
        headers = [("Content-Type", "application/octet-stream"), ("Cache-Control", "private, no-store")]
        return Response(200, headers, content)
