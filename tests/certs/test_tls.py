# SPDX-License-Identifier: Apache-2.0
"""Tests of umslab_certs.tls: real handshakes over memory, judged by what each side says.

OpenSSL looks at the machine's clock, so these certificates are made around the present.
"""

from __future__ import annotations

import ssl
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import serialization

from umslab_certs.authority import Authority, create_root
from umslab_certs.chain import to_pem
from umslab_certs.csr import build_request, device_unit_id, read_request
from umslab_certs.device_communication import is_pinned, make_self_signed
from umslab_certs.errors import Fault
from umslab_certs.identity import load_identity, save_identity
from umslab_certs.keys import KeyType, generate_key, key_to_pem
from umslab_certs.names import subject_names
from umslab_certs.tls import (
    blind_context,
    blind_context_12,
    exact_context_12,
    pinned_context,
    server_context,
    server_context_12,
    use_identity,
)
from umslab_protocol.values.unit_id import UnitId

from .pki import CLIENT, DAY, SERVER, UNIT_ID, Pair, der_of, make, refused

if TYPE_CHECKING:
    from pathlib import Path

    from cryptography.x509 import Certificate

PRESENT = datetime.now(UTC)
ROOT = create_root("umslab lab root test", KeyType.P256, now=PRESENT)
CLIENT_CA = create_root("umslab lab EST client CA test", KeyType.P256, now=PRESENT, path_length=0)


@dataclass(frozen=True)
class Outcome:
    """What became of one connection."""

    server_error: ssl.SSLError | None
    client_error: ssl.SSLError | None
    peer: bytes | None
    """The client certificate the server saw."""
    version: str | None
    resumable: bool


class Side:
    """One end of a TLS connection over memory."""

    def __init__(self, context: ssl.SSLContext, *, server: bool, host: str | None = None) -> None:
        self.incoming, self.outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self.tls = context.wrap_bio(self.incoming, self.outgoing, server_side=server, server_hostname=host)
        self.error: ssl.SSLError | None = None
        self.open = False

    def step(self) -> None:
        """Go as far as the bytes that are here allow; reading also picks up alerts and tickets."""
        try:
            if not self.open:
                self.tls.do_handshake()
                self.open = True
            self.tls.read(1)
        except ssl.SSLWantReadError:
            return
        except ssl.SSLError as problem:
            self.error = self.error or problem


def connect(server: ssl.SSLContext, client: ssl.SSLContext, host: str = "ums.lab") -> Outcome:
    """Join two contexts back to back until neither has anything left to say."""
    listener, dialler = Side(server, server=True), Side(client, server=False, host=host)
    for _ in range(6):
        dialler.step()
        listener.incoming.write(dialler.outgoing.read())
        listener.step()
        dialler.incoming.write(listener.outgoing.read())
    good = listener.error is None and dialler.error is None
    return Outcome(
        listener.error,
        dialler.error,
        listener.tls.getpeercert(binary_form=True) if good else None,
        listener.tls.version(),
        good and dialler.tls.session is not None and dialler.tls.session.has_ticket,
    )


@pytest.fixture(scope="session")
def web(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The identity file of a server called ums.lab."""
    file = tmp_path_factory.mktemp("web") / "web.pem"
    certificate, key = ROOT.issue_server(subject_names(["ums.lab", "192.0.2.7"]), KeyType.P256, now=PRESENT)
    save_identity(file, key, [certificate])
    return file


def device(tmp_path: Path, kind: KeyType = KeyType.P256, authority: Authority = CLIENT_CA) -> Path:
    """The identity file of a device whose certificate the authority issued just now."""
    key = generate_key(kind)
    request = read_request(build_request(UnitId(UNIT_ID), key))
    return identity(tmp_path, Pair(authority.issue_device(request, now=PRESENT), key))


def identity(tmp_path: Path, pair: Pair) -> Path:
    """The identity file of a pair."""
    save_identity(tmp_path / "device.pem", pair.key, [pair.certificate])
    return tmp_path / "device.pem"


def device_like(
    *, purposes: list[x509.ObjectIdentifier], begin: datetime, end: datetime, issuer: Authority = CLIENT_CA
) -> Pair:
    """A device certificate with something wrong about it."""
    above = Pair(issuer.certificate, issuer.key)
    return make(UNIT_ID, above, purposes=purposes, begin=begin, end=end)


def client(file: Path | None = None) -> ssl.SSLContext:
    """A pinned client context with an identity."""
    context = pinned_context([ROOT.certificate])
    if file:
        use_identity(context, file)
    return context


class TestServer:
    """Who may connect."""

    def test_no_certificate_is_fine(self, web: Path) -> None:
        """X3: a device that has no certificate yet connects with TLS 1.3."""
        outcome = connect(server_context(web, [CLIENT_CA.certificate]), client())

        assert (outcome.server_error, outcome.client_error, outcome.peer) == (None, None, None)
        assert outcome.version == "TLSv1.3"

    @pytest.mark.parametrize("kind", [KeyType.P256, KeyType.P384, KeyType.P521, KeyType.RSA2048])
    def test_device_is_known_by_its_certificate(self, web: Path, tmp_path: Path, kind: KeyType) -> None:
        """A certificate of the client authority passes with every kind of key, and names the device."""
        outcome = connect(server_context(web, [CLIENT_CA.certificate]), client(device(tmp_path, kind)))

        assert (outcome.server_error, outcome.client_error) == (None, None)
        assert outcome.peer
        assert device_unit_id(x509.load_der_x509_certificate(outcome.peer)) == UNIT_ID

    def test_without_client_authority_none_is_asked_for(self, web: Path, tmp_path: Path) -> None:
        """A server without client authorities never sees a certificate."""
        outcome = connect(server_context(web, []), client(device(tmp_path)))

        assert (outcome.server_error, outcome.client_error, outcome.peer) == (None, None, None)

    def test_rogue_authority(self, web: Path, tmp_path: Path) -> None:
        """A certificate of an unknown authority, even a namesake, is answered with unknown_ca (48)."""
        rogue = create_root("umslab lab EST client CA test", KeyType.P256, now=PRESENT)
        stranger = create_root("stranger", KeyType.P256, now=PRESENT)

        for authority, alert in ((stranger, "TLSV1_ALERT_UNKNOWN_CA"), (rogue, "TLSV1_ALERT_UNKNOWN_CA")):
            outcome = connect(
                server_context(web, [CLIENT_CA.certificate]), client(device(tmp_path, authority=authority))
            )
            assert isinstance(outcome.server_error, ssl.SSLCertVerificationError)
            assert reason(outcome.client_error) == alert

    def test_web_root_is_no_client_authority(self, web: Path, tmp_path: Path) -> None:
        """What the web root issues is no identity for a device."""
        outcome = connect(server_context(web, [CLIENT_CA.certificate]), client(device(tmp_path, authority=ROOT)))

        assert reason(outcome.client_error) == "TLSV1_ALERT_UNKNOWN_CA"

    def test_expired(self, web: Path, tmp_path: Path) -> None:
        """An expired certificate is answered with certificate_expired (45); without time check it passes (X9)."""
        file = identity(
            tmp_path, device_like(purposes=[CLIENT], begin=PRESENT - 9 * DAY, end=PRESENT - timedelta(hours=1))
        )
        strict = connect(server_context(web, [CLIENT_CA.certificate]), client(file))
        lenient = connect(server_context(web, [CLIENT_CA.certificate], check_time=False), client(file))

        assert isinstance(strict.server_error, ssl.SSLCertVerificationError)
        assert strict.server_error.verify_message == "certificate has expired"
        assert reason(strict.client_error) == "SSLV3_ALERT_CERTIFICATE_EXPIRED"
        assert (lenient.server_error, lenient.client_error) == (None, None)
        assert lenient.peer

    def test_unchecked_time_leaves_the_rest_checked(self, web: Path, tmp_path: Path) -> None:
        """Without a look at the time, a rogue is still a rogue."""
        stranger = create_root("stranger", KeyType.P256, now=PRESENT)
        context = server_context(web, [CLIENT_CA.certificate], check_time=False)

        assert reason(connect(context, client(device(tmp_path, authority=stranger))).client_error) == (
            "TLSV1_ALERT_UNKNOWN_CA"
        )

    def test_not_yet_valid(self, web: Path, tmp_path: Path) -> None:
        """A certificate of tomorrow is refused today."""
        file = identity(tmp_path, device_like(purposes=[CLIENT], begin=PRESENT + DAY, end=PRESENT + 9 * DAY))
        outcome = connect(server_context(web, [CLIENT_CA.certificate]), client(file))

        assert isinstance(outcome.server_error, ssl.SSLCertVerificationError)
        assert outcome.server_error.verify_message == "certificate is not yet valid"

    def test_wrong_usage(self, web: Path, tmp_path: Path) -> None:
        """A server's certificate in a client's place is answered with unsupported_certificate (43)."""
        file = identity(tmp_path, device_like(purposes=[SERVER], begin=PRESENT - DAY, end=PRESENT + DAY))
        outcome = connect(server_context(web, [CLIENT_CA.certificate]), client(file))

        assert reason(outcome.client_error) == "SSLV3_ALERT_UNSUPPORTED_CERTIFICATE"

    def test_each_client_authority_is_an_anchor(self, web: Path, tmp_path: Path) -> None:
        """An authority below a company root admits what it issued, and not what the company root issued elsewhere."""
        company = create_root("company", KeyType.P256, now=PRESENT)
        above = Pair(company.certificate, company.key)
        until = PRESENT + 9 * DAY
        below = make("est", above, ca=True, sign_usage=True, begin=PRESENT - DAY, end=until)
        authority = Authority(below.certificate, below.key, (below.certificate, company.certificate))
        elsewhere = device_like(purposes=[CLIENT], begin=PRESENT - DAY, end=until, issuer=company)
        context = server_context(web, [below.certificate])

        assert connect(context, client(device(tmp_path, authority=authority))).peer
        assert connect(context, client(identity(tmp_path, elsewhere))).server_error

    def test_tls_1_2(self, web: Path) -> None:
        """T1: the port for OS 12 refuses TLS 1.2 with protocol_version (70), the one for OS 11 takes it."""
        old = pinned_context([ROOT.certificate])
        old.minimum_version = ssl.TLSVersion.TLSv1_2
        old.maximum_version = ssl.TLSVersion.TLSv1_2

        refusing = connect(server_context(web, [CLIENT_CA.certificate]), old)
        taking = connect(server_context(web, [], minimum=ssl.TLSVersion.TLSv1_2), old)

        assert reason(refusing.client_error) == "TLSV1_ALERT_PROTOCOL_VERSION"
        assert (taking.server_error, taking.client_error, taking.version) == (None, None, "TLSv1.2")

    def test_tickets(self, web: Path) -> None:
        """Tickets are given when they are asked for."""
        assert not connect(server_context(web, []), client()).resumable
        assert connect(server_context(web, [], tickets=1), client()).resumable

    def test_nothing_of_the_system_is_trusted(self, web: Path) -> None:
        """The only anchors are those that were given."""
        assert server_context(web, [CLIENT_CA.certificate]).get_ca_certs(binary_form=True) == [
            der_of(CLIENT_CA.certificate)
        ]
        assert server_context(web, []).get_ca_certs() == []
        assert blind_context().get_ca_certs() == []
        assert len(pinned_context([ROOT.certificate]).get_ca_certs()) == 1


class TestClient:
    """Whom a device trusts."""

    @pytest.mark.parametrize("host", ["ums.lab", "192.0.2.7", "localhost"])
    def test_pinned_root(self, web: Path, host: str) -> None:
        """The pinned root's server is accepted under each of its names."""
        assert connect(server_context(web, []), client(), host).client_error is None

    @pytest.mark.parametrize("host", ["other.lab", "192.0.2.8"])
    def test_other_names(self, web: Path, host: str) -> None:
        """Under another name it is refused (error 45 of the vendor)."""
        error = connect(server_context(web, []), client(), host).client_error

        assert isinstance(error, ssl.SSLCertVerificationError)
        assert "mismatch" in error.verify_message

    def test_other_root(self, web: Path) -> None:
        """A server below another root, even a namesake, is refused."""
        namesake = create_root("umslab lab root test", KeyType.P256, now=PRESENT)
        outcome = connect(server_context(web, []), pinned_context([namesake.certificate]))

        assert isinstance(outcome.client_error, ssl.SSLCertVerificationError)
        assert reason(outcome.server_error) == "TLSV1_ALERT_UNKNOWN_CA"

    def test_two_pins(self, web: Path) -> None:
        """V2: with the old root and the new one pinned, both servers pass."""
        other = create_root("other", KeyType.P256, now=PRESENT)

        assert connect(server_context(web, []), pinned_context([other.certificate, ROOT.certificate])).peer is None
        assert connect(server_context(web, []), pinned_context([other.certificate])).client_error

    def test_intermediates_complete_but_do_not_anchor(self, tmp_path: Path) -> None:
        """An intermediate fills the gap of a server that sends its leaf only; alone it is not trusted."""
        above = Pair(ROOT.certificate, ROOT.key)
        until = PRESENT + 9 * DAY
        middle = make("middle", above, ca=True, sign_usage=True, begin=PRESENT - DAY, end=until)
        leaf = make("ums.lab", middle, names=["ums.lab"], purposes=[SERVER], begin=PRESENT - DAY, end=until)
        server = server_context(identity(tmp_path, leaf), [])

        assert connect(server, pinned_context([ROOT.certificate])).client_error
        assert connect(server, pinned_context([ROOT.certificate], [middle.certificate])).client_error is None
        assert connect(server, pinned_context([middle.certificate])).client_error

    def test_expired_server(self, tmp_path: Path) -> None:
        """An expired server is refused, unless time is judged elsewhere."""
        above = Pair(ROOT.certificate, ROOT.key)
        begin, end = PRESENT - 9 * DAY, PRESENT - timedelta(hours=1)
        leaf = make("ums.lab", above, names=["ums.lab"], purposes=[SERVER], begin=begin, end=end)
        server = server_context(identity(tmp_path, leaf), [])
        error = connect(server, client()).client_error

        assert isinstance(error, ssl.SSLCertVerificationError)
        assert error.verify_message == "certificate has expired"
        assert connect(server, pinned_context([ROOT.certificate], check_time=False)).client_error is None

    def test_blind(self, web: Path) -> None:
        """The blind context takes any server, but TLS 1.3 only."""
        old = server_context(web, [], minimum=ssl.TLSVersion.TLSv1_2)
        old.maximum_version = ssl.TLSVersion.TLSv1_2

        assert connect(server_context(web, []), blind_context(), "other.lab").client_error is None
        assert connect(old, blind_context()).client_error
        assert connect(old, client()).client_error


def own_certificate(tmp_path: Path, name: str = "tckey", kind: KeyType = KeyType.P256) -> tuple[Path, Certificate]:
    """The identity file and the certificate of a UMS or a device of OS 11."""
    certificate, key = make_self_signed(kind, now=PRESENT)
    save_identity(tmp_path / f"{name}.pem", key, [certificate])
    return tmp_path / f"{name}.pem", certificate


class TestOs11:
    """TLS 1.2 and only 1.2, and the exact certificate (T1, G12)."""

    @pytest.mark.parametrize("kind", [KeyType.P256, KeyType.RSA2048])
    def test_the_pin(self, tmp_path: Path, kind: KeyType) -> None:
        """Self-signed, nameless, without extensions: the very certificate is taken, under whatever name."""
        file, pin = own_certificate(tmp_path, kind=kind)
        for host in ("ums.lab", "192.0.2.7"):
            outcome = connect(server_context_12(file), exact_context_12(pin), host)

            assert (outcome.server_error, outcome.client_error) == (None, None)
            assert (outcome.version, outcome.resumable) == ("TLSv1.2", False)

    def test_another_certificate(self, tmp_path: Path) -> None:
        """It differs in nothing but its key and number, and is refused with an alert."""
        file, _ = own_certificate(tmp_path)
        _, pin = own_certificate(tmp_path, "other")
        outcome = connect(server_context_12(file), exact_context_12(pin))

        assert isinstance(outcome.client_error, ssl.SSLCertVerificationError)
        assert (reason(outcome.server_error) or "").startswith(("TLSV1_ALERT", "SSLV3_ALERT"))

    def test_a_certificate_below_the_pin(self, tmp_path: Path) -> None:
        """What the pinned key has signed is not the pin."""
        certificate, key = make_self_signed(KeyType.P256, now=PRESENT)
        below = make("ums.lab", Pair(certificate, key), begin=PRESENT - DAY, end=PRESENT + DAY)
        server = server_context_12(identity(tmp_path, below))

        assert isinstance(connect(server, exact_context_12(certificate)).client_error, ssl.SSLCertVerificationError)

    def test_a_pin_that_is_no_root(self, web: Path) -> None:
        """A certificate that somebody else has issued can be pinned too, alone."""
        _, pin = load_identity(web)

        assert connect(server_context_12(web), exact_context_12(pin)).client_error is None

    def test_tls_1_3_is_refused(self, tmp_path: Path) -> None:
        """With protocol_version (70), in both directions."""
        file, pin = own_certificate(tmp_path)
        new = blind_context()
        refusing = connect(server_context_12(file), new)

        assert reason(refusing.client_error) == "TLSV1_ALERT_PROTOCOL_VERSION"
        assert reason(connect(server_context(file, []), exact_context_12(pin)).client_error) == (
            "TLSV1_ALERT_PROTOCOL_VERSION"
        )

    def test_time(self, tmp_path: Path) -> None:
        """An expired pin is refused (G4), unless time is judged elsewhere."""
        certificate, key = make_self_signed(KeyType.P256, now=PRESENT - 24 * 366 * DAY)
        server = server_context_12(identity(tmp_path, Pair(certificate, key)))
        error = connect(server, exact_context_12(certificate)).client_error

        assert isinstance(error, ssl.SSLCertVerificationError)
        assert error.verify_message == "certificate has expired"
        assert connect(server, exact_context_12(certificate, check_time=False)).client_error is None

    def test_blind(self, tmp_path: Path) -> None:
        """The first contact takes any server, tells which it was, and TLS 1.2 only."""
        file, certificate = own_certificate(tmp_path)
        context = blind_context_12()
        listener, dialler = Side(server_context_12(file), server=True), Side(context, server=False)
        for _ in range(4):
            dialler.step()
            listener.incoming.write(dialler.outgoing.read())
            listener.step()
            dialler.incoming.write(listener.outgoing.read())

        assert is_pinned(dialler.tls.getpeercert(binary_form=True), certificate)
        assert context.get_ca_certs() == []
        assert connect(server_context(file, []), blind_context_12()).client_error


class TestIdentity:
    """Loading identities into contexts."""

    def test_one_context_for_many_devices(self, web: Path, tmp_path: Path) -> None:
        """A context that is given the next device's identity presents that one from then on."""
        context, server = client(), server_context(web, [CLIENT_CA.certificate])
        seen = []
        for _ in range(3):
            use_identity(context, device(tmp_path))
            seen.append(connect(server, context).peer)

        assert len(set(seen)) == 3

    def test_mismatch(self, tmp_path: Path) -> None:
        """A key that belongs to another certificate is refused with the path."""
        file = tmp_path / "x.pem"
        file.write_bytes(key_to_pem(generate_key(KeyType.P256)) + to_pem([ROOT.certificate]))

        with refused(Fault.MISMATCHED, str(file)):
            use_identity(blind_context(), file)

    @pytest.mark.parametrize("content", [b"", b"hello", to_pem([ROOT.certificate])])
    def test_unusable(self, tmp_path: Path, content: bytes) -> None:
        """A file without the two pieces is refused with the path."""
        file = tmp_path / "x.pem"
        file.write_bytes(content)

        with refused(Fault.UNREADABLE, str(file)):
            server_context(file, [])

    def test_missing(self, tmp_path: Path) -> None:
        """A file that is not there is refused with the path."""
        with refused(Fault.UNREADABLE, "gone.pem", "No such file"):
            use_identity(blind_context(), tmp_path / "gone.pem")

    def test_encrypted_key_does_not_ask(self, tmp_path: Path) -> None:
        """An encrypted key is refused; OpenSSL does not stop to ask a terminal for the password."""
        file = tmp_path / "x.pem"
        encryption = serialization.BestAvailableEncryption(b"secret")
        pem = ROOT.key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, encryption)
        file.write_bytes(pem + to_pem([ROOT.certificate]))

        with refused(Fault.UNREADABLE, str(file)):
            use_identity(blind_context(), file)


def reason(error: ssl.SSLError | None) -> str | None:
    """OpenSSL's name for what went wrong, which holds the alert the peer sent."""
    return error.reason if error else None
