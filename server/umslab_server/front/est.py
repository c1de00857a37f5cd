# SPDX-License-Identifier: Apache-2.0
"""EST over HTTP: cacerts, csrattrs, simpleenroll, simplereenroll (facts E4, E5, X1-X4; RFC 7030, 8951, 9908).

Provenance: standard, below the documented path. How the first-authentication key is carried is SIMULATED and pluggable
(X6): see `Authentication`. In TLS 1.3 there is no tls-unique, so proof-of-possession linking (RFC 7030 section 3.5) is
neither offered nor asked for. A request that waits for manual approval is answered 202 with Retry-After (RFC 7030
section 4.2.3).
"""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Protocol

from umslab_protocol.errors import InvalidValueError
from umslab_protocol.wire.basic_auth import CHALLENGE, parse_basic
from umslab_protocol.wire.transfer import Wrapping, decode_body, encode_body
from umslab_runtime.http import Request, Response, retry_after, text_response
from umslab_server.enrolment import EnrolmentRefused, Issued
from umslab_server.store import StoreError

if TYPE_CHECKING:
    from collections.abc import Callable

    from umslab_server.enrolment import Enrolment

PKCS7 = "application/pkcs7-mime"
CERTS_ONLY = "application/pkcs7-mime; smime-type=certs-only"
PKCS10 = "application/pkcs10"
BUSY_SECONDS = 5.0
AUTHENTICATION_GROUP = "umslab.enrolment_authentication"


class Authentication(Protocol):
    """Where an enrolment request carries its first-authentication key; entry points can add others."""

    challenge: str
    """The value of WWW-Authenticate in a 401."""

    def read_key(self, request: Request) -> str | None:
        """Return the key, None when the request has none. Raises `InvalidValueError` for an unreadable one."""
        ...


class BasicAuthentication:
    """HTTP Basic with the key as password; the user name is ignored."""

    challenge = CHALLENGE

    def read_key(self, request: Request) -> str | None:
        """Read the Authorization header."""
        value = request.header("authorization")
        return None if value is None else parse_basic(value)[1]


class Est:
    """Serves the four operations."""

    def __init__(
        self,
        enrolment: Enrolment,
        authentication: Authentication,
        *,
        ca_certificates: Callable[[], bytes],
        csr_attributes: bytes,
        wrapping: Wrapping,
        encode_certificate: Callable[[bytes], bytes],
    ) -> None:
        """`ca_certificates` gives the PKCS#7 of cacerts, `encode_certificate` makes one of an issued certificate."""
        self._enrolment = enrolment
        self._authentication = authentication
        self._ca_certificates = ca_certificates
        self._csr_attributes = csr_attributes
        self._wrapping = wrapping
        self._encode_certificate = encode_certificate
        self.outcomes: Counter[tuple[str, str]] = Counter()
        """How often an operation (`enrol`, `renew`) ended how."""

    async def cacerts(self, request: Request) -> Response:
        """RFC 7030 section 4.1: everybody may ask."""
        del request
        return self._answer(PKCS7, self._ca_certificates(), "PKCS7")

    async def csrattrs(self, request: Request) -> Response:
        """RFC 7030 section 4.5, RFC 9908."""
        del request
        return self._answer("application/csrattrs", self._csr_attributes, "CSRATTRS")

    async def simpleenroll(self, request: Request) -> Response:
        """RFC 7030 section 4.2.1."""
        try:
            key = self._authentication.read_key(request)
        except InvalidValueError as error:
            return self._unauthorised(str(error))
        if key is None:
            return self._unauthorised("enrolment needs a first-authentication key")
        der = _read_request(request)
        if isinstance(der, Response):
            return der
        try:
            return self._conclude("enrol", await self._enrolment.enrol(der, key, request.peer.address.host))
        except StoreError:
            return _BUSY

    async def simplereenroll(self, request: Request) -> Response:
        """RFC 7030 section 4.2.2: over the certificate being renewed."""
        presented = request.peer.certificate
        if presented is None:
            return text_response(403, "a renewal is asked for over the certificate that is to be renewed")
        der = _read_request(request)
        if isinstance(der, Response):
            return der
        try:
            return self._conclude("renew", await self._enrolment.renew(der, presented, request.peer.address.host))
        except StoreError:
            return _BUSY

    def _conclude(self, operation: str, answer: Issued | EnrolmentRefused) -> Response:
        outcome = "issued" if isinstance(answer, Issued) else _OUTCOMES.get(answer.status, "refused")
        self.outcomes[operation, outcome] += 1
        if isinstance(answer, Issued):
            return self._answer(CERTS_ONLY, self._encode_certificate(answer.certificate), "PKCS7")
        if answer.status == 401:
            return self._unauthorised(answer.message)
        headers = [] if answer.retry_after is None else [retry_after(answer.retry_after)]
        return text_response(answer.status, answer.message, headers)

    def _answer(self, content_type: str, der: bytes, label: str) -> Response:
        headers = [("Content-Type", content_type), ("Content-Transfer-Encoding", "base64")]
        return Response(200, headers, encode_body(der, self._wrapping, label))

    def _unauthorised(self, message: str) -> Response:
        return text_response(401, message, [("WWW-Authenticate", self._authentication.challenge)])


_OUTCOMES = {202: "waiting", 400: "invalid", 401: "wrong-key", 429: "slowed-down", 503: "unavailable"}
_BUSY = text_response(503, "the registry is busy", [retry_after(BUSY_SECONDS)])


def _read_request(request: Request) -> bytes | Response:
    kind = (request.header("content-type") or "").partition(";")[0].strip().lower()
    if kind != PKCS10:
        return text_response(415, f"the body must be {PKCS10}", [("Accept-Post", PKCS10)])
    try:
        return decode_body(request.body)
    except InvalidValueError as error:
        return text_response(400, str(error))
