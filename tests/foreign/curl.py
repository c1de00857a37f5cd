# SPDX-License-Identifier: Apache-2.0
"""HTTP and EST by the curl command: TLS, HTTP and base64 are other people's."""

from __future__ import annotations

import base64
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from . import openssl
from .openssl import Identity
from .strangers import run
from .ums import EST_PATH, MASS_KEY

if TYPE_CHECKING:
    from .ums import Ums

CURL = ("curl", "--disable", "--noproxy", "*", "--silent", "--show-error", "--max-time", "20")
"""curl without anybody's configuration, and never by a proxy."""


@dataclass(frozen=True)
class Answer:
    """What curl got; status 0 when it got no HTTP answer."""

    status: int
    head: str
    body: bytes
    exit_code: int
    said: str

    def header(self, name: str) -> str | None:
        """The value of a header, whatever its case."""
        for line in self.head.splitlines():
            key, _, value = line.partition(":")
            if key.lower() == name.lower():
                return value.strip()
        return None


def curl(url: str, *options: str | Path, root: Path | None = None, body: bytes | None = None) -> Answer:
    """Do one request; `root` is what to trust, nothing is verified without one only if `options` say so."""
    trust = () if root is None else ("--cacert", root)
    data = () if body is None else ("--data-binary", "@-")
    with tempfile.TemporaryDirectory() as name:
        head, got = Path(name, "head"), Path(name, "body")
        done = run(
            *(*CURL, *trust, *options, *data),
            *("--dump-header", head, "--output", got, "--write-out", "%{http_code}", url),
            stdin=body or b"",
            check=False,
        )
        return Answer(
            status=int(done.out or "0"),
            head=head.read_bytes().decode("latin-1") if head.exists() else "",
            body=got.read_bytes() if got.exists() else b"",
            exit_code=done.code,
            said=done.err,
        )


@dataclass(frozen=True)
class EstByCurl:
    """An EST client made of curl, openssl and base64; `folder` takes the keys."""

    ums: Ums
    folder: Path

    def get(self, operation: str, *options: str | Path) -> Answer:
        """GET an operation."""
        return curl(self.ums.url(f"{EST_PATH}/{operation}"), "--tlsv1.3", *options, root=self.ums.root)

    def post(
        self,
        operation: str,
        body: bytes,
        *options: str | Path,
        identity: Identity | None = None,
        auth_key: str | None = MASS_KEY,
        content_type: str = "application/pkcs10",
    ) -> Answer:
        """POST a body as it is."""
        who: list[str | Path] = [] if identity is None else ["--cert", identity.certificate, "--key", identity.key]
        key = [] if auth_key is None else ["--user", f"any:{auth_key}"]
        return curl(
            self.ums.url(f"{EST_PATH}/{operation}"),
            *("--tlsv1.3", "--header", f"Content-Type: {content_type}", *who, *key, *options),
            root=self.ums.root,
            body=body,
        )

    def new_key(self, name: str) -> Path:
        """Make a key in the folder."""
        return openssl.new_key(self.folder / f"{name}.key")

    def ask(self, key: Path, unit_id: str, *extensions: str) -> bytes:
        """Write the body of an enrolment: a request in base64."""
        return base64.b64encode(openssl.request(key, f"/CN={unit_id}", *extensions))

    def enrol(self, unit_id: str, key: Path | None = None) -> Identity:
        """Enrol and keep the certificate."""
        own_key = key or self.new_key(unit_id)
        return self.keep(self.post("simpleenroll", self.ask(own_key, unit_id)), own_key)

    def keep(self, answer: Answer, key: Path) -> Identity:
        """Write the certificate of an enrolment answer to a file beside its key."""
        assert answer.status == 200, answer
        (certificate,) = openssl.read_pkcs7(base64.b64decode(answer.body, validate=True))
        path = key.with_suffix(f".{len(list(key.parent.iterdir()))}.pem")
        path.write_text(certificate)
        return Identity(key, path)
