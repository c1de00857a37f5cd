# SPDX-License-Identifier: Apache-2.0
"""The path where a server started with `--for-load` proves it (SIMULATED: wire/load_proof.py); else there is none."""

from __future__ import annotations

from typing import TYPE_CHECKING

from umslab_certs.errors import CertificateError
from umslab_protocol.errors import InvalidValueError
from umslab_protocol.wire.load_proof import CONTENT_TYPE, read_request, write_answer
from umslab_runtime.http import Request, Response, text_response

if TYPE_CHECKING:
    from umslab_server.certificates import Certificates


class LoadProofFront:
    """Serves the path."""

    def __init__(self, certificates: Certificates) -> None:
        self._certificates = certificates

    async def post(self, request: Request) -> Response:
        """Everybody may ask: the answer is no secret."""
        try:
            nonce = read_request(request.body)
            signature = await self._certificates.prove_load(nonce)
        except InvalidValueError as error:
            return text_response(400, str(error))
        except CertificateError:
            return text_response(503, "the web certificate cannot be read")
        headers = [("Content-Type", CONTENT_TYPE), ("Cache-Control", "no-store")]
        return Response(200, headers, write_answer(signature))
