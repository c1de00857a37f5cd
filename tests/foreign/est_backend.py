# SPDX-License-Identifier: Apache-2.0
"""An EST server that is not ours: Python's http.server for HTTP, the openssl command for everything else.

It stands behind nginx, which does TLS and says in headers who presented which certificate. Its base64 has lines of 64
characters, unlike what umslab writes by default.
"""

from __future__ import annotations

import base64
import re
import threading
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING

from .openssl import CLIENT, Authority, write_pkcs7
from .strangers import run
from .ums import EST_PATH

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

_SECONDS = 20.0


@dataclass
class EstBackend:
    """What the server knows and what was asked of it."""

    folder: Path
    authority: Authority
    cacerts: bytes
    """PEM of what cacerts answers."""
    auth_key: str
    start: timedelta = -timedelta(minutes=5)
    end: timedelta = timedelta(days=365)
    """The lifetime of what it issues, relative to now."""
    asked: list[str] = field(default_factory=list)
    """Operations and whom they were for, in order."""
    port: int = 0

    def answer_cacerts(self) -> tuple[int, bytes]:
        """Everybody may ask."""
        self.asked.append("cacerts")
        return self._pkcs7("cacerts", self.cacerts)

    def enrol(self, body: bytes, authorization: str) -> tuple[int, bytes]:
        """Wants the key as the password of HTTP Basic."""
        _, _, password = base64.b64decode(authorization.removeprefix("Basic ")).decode().partition(":")
        if password != self.auth_key:
            return 401, b"wrong key"
        return self._issue("simpleenroll", body, None)

    def renew(self, body: bytes, verified: str, subject: str) -> tuple[int, bytes]:
        """Wants the certificate that is to be renewed."""
        return self._issue("simplereenroll", body, subject) if verified == "SUCCESS" else (403, b"no certificate")

    def _issue(self, operation: str, body: bytes, subject: str | None) -> tuple[int, bytes]:
        der = base64.b64decode(body)
        checked = run("openssl", "req", "-inform", "DER", "-verify", "-noout", "-subject", stdin=der)
        name = re.search(r"CN ?= ?(\w+)", checked.out)
        if name is None or (subject is not None and f"CN={name.group(1)}" not in subject):
            return 400, b"wrong subject"
        self.asked.append(f"{operation} {name.group(1)}")
        certificate = self.authority.sign(der, CLIENT, start=self.start, end=self.end)
        return self._pkcs7(operation, certificate.encode())

    def _pkcs7(self, name: str, certificates: bytes) -> tuple[int, bytes]:
        file = self.folder / f"{name}.pem"
        file.write_bytes(certificates)
        text = base64.b64encode(write_pkcs7(file))
        return 200, b"".join(text[at : at + 64] + b"\r\n" for at in range(0, len(text), 64))


class _Handler(BaseHTTPRequestHandler):
    """Translates."""

    timeout = _SECONDS
    backend: EstBackend

    def do_GET(self) -> None:
        """Answer cacerts."""
        known = self.path == f"{EST_PATH}/cacerts"
        self._send(*self.backend.answer_cacerts() if known else (404, b"not here"))

    def do_POST(self) -> None:
        """Answer enrolments."""
        body = self.rfile.read(int(self.headers["Content-Length"]))
        match self.path.removeprefix(f"{EST_PATH}/"):
            case "simpleenroll":
                self._send(*self.backend.enrol(body, self.headers.get("Authorization", "")))
            case "simplereenroll":
                subject = self.headers.get("X-Client-Subject", "")
                self._send(*self.backend.renew(body, self.headers.get("X-Client-Verify", ""), subject))
            case _:
                self._send(404, b"not here")

    def _send(self, status: int, body: bytes) -> None:
        self.send_response(status)
        if status == 200:
            self.send_header("Content-Type", "application/pkcs7-mime; smime-type=certs-only")
            self.send_header("Content-Transfer-Encoding", "base64")
        elif status == 401:
            self.send_header("WWW-Authenticate", 'Basic realm="stranger"')
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the name is the standard library's
        """Keep quiet."""


@contextmanager
def serving(backend: EstBackend) -> Iterator[EstBackend]:
    """Serve in a thread as long as the block lasts."""
    backend.folder.mkdir(parents=True, exist_ok=True)
    handler = type("Handler", (_Handler,), {"backend": backend})
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        backend.port = server.server_port
        thread = threading.Thread(target=server.serve_forever, args=(0.05,))
        thread.start()
        try:
            yield backend
        finally:
            server.shutdown()
            thread.join(_SECONDS)
