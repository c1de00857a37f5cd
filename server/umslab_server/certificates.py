# SPDX-License-Identifier: Apache-2.0
"""The running server's certificates: what its port presents, what cacerts answers, who issues for devices.

cacerts answers the web chain up to its root plus the EST client CAs (C30): a device pins the root that signs the TLS
chain, and the client CAs are there for clients that check their own certificate. What the files say decides; who is
told of a change, and what the registry says of it, is the business of rotation.py and client_cas.py.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from umslab_certs.chain import fingerprint, parse_certificate, subject_of
from umslab_certs.client_authority import ClientAuthority
from umslab_certs.device_communication import TCKEY, DeviceCommunication, is_weakly_signed
from umslab_certs.errors import CertificateError, Fault
from umslab_certs.keys import KeyType, check_strength, key_type
from umslab_certs.load_proof import sign_load_proof
from umslab_certs.pkcs7 import encode_certs_only
from umslab_certs.store import WebCertificates
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
        web.settle()
    else:
        web = WebCertificates.create(
            folder.web, names, root_key_type=config.root_key, web_key_type=config.web_key, now=now
        )
    if (folder.est / "authority.pem").exists():
        return web, ClientAuthority.open(folder.est)
    return web, ClientAuthority.create(folder.est, key_type=config.client_ca_key, now=now)


def open_or_create_os11(folder: StateFolder, key: KeyType, now: datetime) -> DeviceCommunication:
    """Open the device-communication certificate of the state folder, or make it (G4); raises as `open_or_create`."""
    if (folder.os11 / TCKEY).exists():
        return DeviceCommunication.open(folder.os11)
    return DeviceCommunication.create(folder.os11, key_type=key, now=now)


def refuse_lost(folder: StateFolder) -> None:
    """Raise `CertificateError` when there is a registry but a certificate store is gone.

    New certificates would lock every registered device out, so making them takes an explicit `umslab certs init`.
    """
    lost = [file for file in (folder.web / "web.pem", folder.est / "authority.pem") if not file.exists()]
    if lost and folder.registry.exists():
        hint = "restore a backup; or `umslab certs init` makes new ones, and every device must come on board again"
        raise CertificateError(Fault.INCOMPLETE, f"{lost[0]} is not there, although {folder.registry} is", hint)


def refuse_lost_os11(folder: StateFolder, devices: int) -> None:
    """Raise `CertificateError` when OS 11 devices are registered but the certificate they have pinned is gone (G6)."""
    file = folder.os11 / TCKEY
    if devices and not file.exists():
        hint = (
            "restore a backup; or start with `--set os11.enabled=false` and delete these devices for good, because "
            "with another certificate they must register anew (G6)"
        )
        raise CertificateError(
            Fault.INCOMPLETE, f"{file} is not there, although {devices} OS 11 devices have pinned it", hint
        )


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
        communication: DeviceCommunication | None = None,
    ) -> None:
        """`communication` is what OS 11 devices are shown; None where OS 11 is off."""
        self.communication = communication
        self._web = web
        self._clients = clients
        self._names = names
        self._make_context = make_context
        self._clock = clock
        self._executor = executor
        self._store = store
        self._load()

    def _load(self) -> None:
        self._loaded = (self._web.chain, self._clients.accepted)
        self._context = self._make_context(self._web, self._clients.accepted)
        self._ca_certificates = encode_certs_only([*self._web.chain[1:], *self._clients.all_certificates])

    def context(self) -> ssl.SSLContext:
        """The context for the next connection; a new one after each renewal, because a changed one would mix keys."""
        return self._context

    def ca_certificates(self) -> bytes:
        """The PKCS#7 of cacerts."""
        return self._ca_certificates

    def authority(self) -> Authority:
        """Who issues device certificates."""
        return self._clients.authority

    async def prove_load(self, nonce: bytes) -> bytes:
        """Sign the proof that this server was started for load. Raises `CertificateError`."""
        return await self._executor.run(lambda: sign_load_proof(self._web.identity_file, nonce))

    @property
    def token(self) -> CommunicationToken:
        """What a person types on a device (C21)."""
        return self._web.token

    def web_expires(self) -> datetime:
        """When the web certificate ends."""
        return self._web.leaf.not_valid_after_utc

    @property
    def root(self) -> Certificate:
        """What devices trust now."""
        return self._web.root

    @property
    def next_root(self) -> Certificate | None:
        """What is announced to them, until the switch."""
        following = self._web.successor
        return None if following is None else following.root

    @property
    def previous_root(self) -> Certificate | None:
        """What they trusted before the last switch."""
        chain = self._web.previous
        return chain[-1] if chain else None

    @property
    def issuing(self) -> Certificate:
        """The EST client CA that issues."""
        return self._clients.authority.certificate

    @property
    def earlier_issuers(self) -> tuple[Certificate, ...]:
        """The EST client CAs whose certificates are still accepted."""
        return self._clients.earlier

    def find_earlier_issuer(self, name: str) -> Certificate:
        """See `ClientAuthority.find_earlier`."""
        return self._clients.find_earlier(name)

    async def renew(self, *, actor: str) -> None:
        """Replace the web certificate under the same root; open connections keep the old one.

        Raises `CertificateError`, for example when the chain was imported.
        """
        await self._apply(lambda: self._web.renew(names=self._names, now=self._clock.utc()))
        serial = f"{self._web.leaf.serial_number:X}"
        await self._store.change(lambda writer: writer.event("web-certificate-renewed", actor=actor, serial=serial))

    async def announce_root(self, root_key: KeyType | None, web_key: KeyType | None) -> None:
        """Make the web root that is to follow; kinds of key that are not named are those in use.

        Raises `CertificateError`, as all of the following do, and `OSError`; what is on disk decides then.
        """
        root_key_type = root_key or _kind(self._web.root, KeyType.RSA4096)
        web_key_type = web_key or _kind(self._web.leaf, KeyType.RSA4096)
        await self._apply(
            lambda: self._web.announce(
                self._names, root_key_type=root_key_type, web_key_type=web_key_type, now=self._clock.utc()
            )
        )

    async def announce_chain(self, chain_pem: bytes, key_pem: bytes, names: Sequence[str]) -> None:
        """Take a chain from elsewhere as the one that is to follow (C8); its leaf must cover `names`."""
        now = self._clock.utc()
        await self._apply(lambda: self._web.announce_chain(chain_pem, key_pem, names=names, now=now))

    async def switch_root(self) -> None:
        """Present the announced chain from the next connection on."""
        await self._apply(lambda: self._web.switch(self._clock.utc()))

    async def cancel_root(self) -> None:
        """Forget the announced chain."""
        await self._apply(self._web.cancel)

    async def renew_issuer(self, key_type: KeyType | None) -> None:
        """Make the EST client CA that issues from now on; a kind of key that is not named is the present one's."""
        kind = key_type or _kind(self.issuing, KeyType.P256)
        await self._apply(lambda: self._clients.renew(kind, now=self._clock.utc()))

    async def import_issuer(self, chain_pem: bytes, key_pem: bytes) -> None:
        """Issue with an authority from elsewhere from now on."""
        now = self._clock.utc()
        await self._apply(lambda: self._clients.import_authority(chain_pem, key_pem, now=now))

    async def retire_issuer(self, certificate: Certificate) -> None:
        """Accept certificates of an earlier EST client CA no longer, from the next connection on."""
        await self._apply(lambda: self._clients.retire(certificate))

    async def _apply(self, change: Callable[[], object]) -> None:
        """Change the files, then what is made of them: also when only a part of the change happened."""
        try:
            await self._executor.run(change)
        finally:
            if self._loaded != (self._web.chain, self._clients.accepted):
                self._load()

    def notices(self) -> list[str]:
        """What an administrator should know (G7); not a matter of health."""
        if self.communication is None or not is_weakly_signed(self.communication.certificate):
            return []
        return ["the device-communication certificate of OS 11 (tckey) has a weak signature: MD5 or SHA-1"]

    def describe(self) -> dict[str, Any]:
        """Everything about them that is no secret."""
        return describe(self._web, self._clients, self.communication)


def describe(
    web: WebCertificates, clients: ClientAuthority, communication: DeviceCommunication | None = None
) -> dict[str, Any]:
    """Tell what a UMS shows of its certificates (C20-C22)."""
    os11 = {} if communication is None else {"device_communication": describe_one(communication.certificate)}
    return {
        "token": str(web.token),
        "root": describe_one(web.root),
        "web": describe_one(web.leaf),
        "chain_length": len(web.chain),
        "next_root": None if web.successor is None else describe_one(web.successor.root),
        "client_ca": describe_one(clients.authority.certificate),
        "earlier_client_cas": [describe_one(certificate) for certificate in clients.earlier],
        **os11,
    }


def _kind(certificate: Certificate, otherwise: KeyType) -> KeyType:
    """The kind of key of a certificate, where it is one that umslab makes."""
    try:
        return key_type(check_strength(certificate.public_key()))
    except CertificateError:
        return otherwise


def describe_one(certificate: Certificate) -> dict[str, Any]:
    """Tell whose certificate it is, from when to when, and its fingerprint in four parts."""
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
