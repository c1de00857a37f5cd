# SPDX-License-Identifier: Apache-2.0
"""The running server's certificates: what its port presents, what cacerts answers, who issues for devices.

cacerts answers the web chain up to its root plus the EST client CA (C30): a device pins the root that signs the TLS
chain, and the client CA is there for clients that check their own certificate.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from umslab_certs.chain import fingerprint, parse_certificate, subject_of
from umslab_certs.errors import CertificateError, Fault
from umslab_certs.pkcs7 import encode_certs_only
from umslab_certs.store import ClientAuthority, WebCertificates
from umslab_certs.tls import server_context

if TYPE_CHECKING:
    import ssl
    from collections.abc import Callable, Sequence
    from datetime import datetime

    from cryptography.x509 import Certificate

    from umslab_certs.authority import Authority
    from umslab_protocol.values.fingerprint import CommunicationToken
    from umslab_runtime.clock import Clock
    from umslab_runtime.executor import Executor
    from umslab_server.config import CertificatesConfig
    from umslab_server.state_folder import StateFolder
    from umslab_server.store import Store


def open_or_create(
    folder: StateFolder, names: Sequence[str], config: CertificatesConfig, now: datetime
) -> tuple[WebCertificates, ClientAuthority]:
    """Open what the state folder holds, make what it lacks (which takes seconds for RSA 4096).

    For a folder that may be new; `refuse_lost` is for one that may not.

    Raises `CertificateError` for a damaged folder, `OSError` for one that cannot be written.
    """
    if (folder.web / "web.pem").exists():
        web = WebCertificates.open(folder.web)
    else:
        web = WebCertificates.create(
            folder.web, names, root_key_type=config.root_key, web_key_type=config.web_key, now=now
        )
    if (folder.est / "authority.pem").exists():
        return web, ClientAuthority.open(folder.est)
    return web, ClientAuthority.create(folder.est, key_type=config.client_ca_key, now=now)


def refuse_lost(folder: StateFolder) -> None:
    """Raise `CertificateError` when there is a registry but a certificate store is gone.

    New certificates would lock every registered device out, so making them takes an explicit `umslab certs init`.
    """
    lost = [file for file in (folder.web / "web.pem", folder.est / "authority.pem") if not file.exists()]
    if lost and folder.registry.exists():
        hint = "restore a backup; or `umslab certs init` makes new ones, and every device must come on board again"
        raise CertificateError(Fault.INCOMPLETE, f"{lost[0]} is not there, although {folder.registry} is", hint)


class Certificates:
    """Holds the certificates and the TLS context made of them."""

    def __init__(
        self,
        web: WebCertificates,
        clients: ClientAuthority,
        *,
        names: Sequence[str],
        make_context: Callable[[WebCertificates, Sequence[Certificate]], ssl.SSLContext],
        clock: Clock,
        executor: Executor,
        store: Store,
    ) -> None:
        self._web = web
        self._clients = clients
        self._names = names
        self._make_context = make_context
        self._clock = clock
        self._executor = executor
        self._store = store
        self._load()

    def _load(self) -> None:
        self._context = self._make_context(self._web, [self._clients.authority.certificate])
        self._ca_certificates = encode_certs_only([*self._web.chain[1:], *self._clients.certificates])

    def context(self) -> ssl.SSLContext:
        """The context for the next connection; a new one after each renewal, because a changed one would mix keys."""
        return self._context

    def ca_certificates(self) -> bytes:
        """The PKCS#7 of cacerts."""
        return self._ca_certificates

    def authority(self) -> Authority:
        """Who issues device certificates."""
        return self._clients.authority

    @property
    def token(self) -> CommunicationToken:
        """What a person types on a device (C21)."""
        return self._web.token

    def web_expires(self) -> datetime:
        """When the web certificate ends."""
        return self._web.leaf.not_valid_after_utc

    async def renew(self, *, actor: str) -> None:
        """Replace the web certificate under the same root; open connections keep the old one.

        Raises `CertificateError`, for example when the chain was imported.
        """
        await self._executor.run(lambda: self._web.renew(names=self._names, now=self._clock.utc()))
        self._load()
        serial = f"{self._web.leaf.serial_number:X}"
        await self._store.change(lambda writer: writer.event("web-certificate-renewed", actor=actor, serial=serial))

    def describe(self) -> dict[str, Any]:
        """Everything about them that is no secret."""
        return describe(self._web, self._clients)


def describe(web: WebCertificates, clients: ClientAuthority) -> dict[str, Any]:
    """Tell what a UMS shows of its certificates (C20-C22)."""
    return {
        "token": str(web.token),
        "root": _describe(web.root),
        "web": _describe(web.leaf),
        "chain_length": len(web.chain),
        "client_ca": _describe(clients.authority.certificate),
    }


def _describe(certificate: Certificate) -> dict[str, Any]:
    return {
        "subject": subject_of(certificate),
        "serial": f"{certificate.serial_number:X}",
        "not_before": certificate.not_valid_before_utc.isoformat(),
        "not_after": certificate.not_valid_after_utc.isoformat(),
        "sha256_parts": list(fingerprint(certificate).parts),
    }


def encode_issued(der: bytes) -> bytes:
    """Wrap one issued certificate for an enrolment answer (RFC 7030 section 4.2.3: only the certificate itself)."""
    return encode_certs_only([parse_certificate(der)])


def standard_context(
    *, minimum: ssl.TLSVersion, tickets: int, check_time: bool
) -> Callable[[WebCertificates, Sequence[Certificate]], ssl.SSLContext]:
    """Return what makes the server's TLS context out of its certificates."""

    def make(web: WebCertificates, client_cas: Sequence[Certificate]) -> ssl.SSLContext:
        return server_context(web.identity_file, client_cas, minimum=minimum, check_time=check_time, tickets=tickets)

    return make
