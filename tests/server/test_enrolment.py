# SPDX-License-Identifier: Apache-2.0
"""Tests of umslab_server.enrolment."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest
import trio
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from umslab_certs.authority import create_root
from umslab_certs.csr import build_request
from umslab_certs.keys import KeyType, generate_key
from umslab_protocol.values.auth_key import KeyKind
from umslab_protocol.values.unit_id import UnitId
from umslab_protocol.wire.close_codes import Refusal
from umslab_server.enrolment import IN_BIN, WRONG_KEY, EnrolmentRefused, Issued, KnownDevice
from umslab_server.importing import ImportedDevice
from umslab_server.sessions import Admitted, NotAdmitted
from umslab_server.store import MAX_BATCH
from umslab_server.throttle import ThrottleRules

from .parts import (
    ELSEWHERE,
    EPOCH,
    HERE,
    YEAR,
    Endpoint,
    Office,
    client_ca,
    gather,
    open_office,
    rendered_logs,
    unit_id,
)

if TYPE_CHECKING:
    from pathlib import Path

    from trio.testing import MockClock

DAY = 86_400.0


def status(answer: Issued | EnrolmentRefused) -> int:
    """200, or the status of the refusal."""
    return answer.status if isinstance(answer, EnrolmentRefused) else 200


def read(der: bytes) -> x509.Certificate:
    """The certificate in an answer."""
    return x509.load_der_x509_certificate(der)


async def renew(
    office: Office, endpoint: Endpoint, certificate: bytes, *, request: bytes | None = None
) -> Issued | EnrolmentRefused:
    """Ask for a renewal over this certificate."""
    return await office.enrolment.renew(request or endpoint.another_request(), certificate, HERE)


async def renewed(office: Office, endpoint: Endpoint, certificate: bytes, *, request: bytes | None = None) -> bytes:
    """A renewal that must succeed."""
    answer = await renew(office, endpoint, certificate, request=request)

    assert isinstance(answer, Issued), answer
    return answer.certificate


class TestWhatIsIssued:
    """The certificate, and what the registry knows afterwards."""

    async def test_certificate(self, office: Office, autojump_clock: MockClock) -> None:
        """For the unit ID and key of the request, for one year, for TLS clients, below the client CA (X8, X12)."""
        device = Endpoint(1)
        issued = read(await office.enrol(device, await office.mass_key()))
        usage = issued.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value

        assert [device.unit_id] == [
            attribute.value for attribute in issued.subject.get_attributes_for_oid(NameOID.COMMON_NAME)
        ]
        assert device.key.public_key() == issued.public_key()
        assert issued.not_valid_after_utc == EPOCH + YEAR
        assert EPOCH - timedelta(minutes=5) <= issued.not_valid_before_utc <= EPOCH
        assert list(usage) == [ExtendedKeyUsageOID.CLIENT_AUTH]
        assert issued.serial_number.bit_length() == 128
        issued.verify_directly_issued_by(client_ca().certificate)

    async def test_lifetime(self, tmp_path: Path) -> None:
        """The configured lifetime counts."""
        async with open_office(tmp_path, lifetime=timedelta(days=2)) as office:
            issued = read(await office.enrol(Endpoint(1), await office.mass_key()))

        assert issued.not_valid_after_utc - issued.not_valid_before_utc <= timedelta(days=2, minutes=5)

    async def test_registered(self, office: Office, autojump_clock: MockClock) -> None:
        """The device is in the registry with its default name (U6), and the feed tells how it came there."""
        await office.enrol(Endpoint(1), await office.mass_key())
        shown = await office.registry.show(unit_id(1))

        assert (f"ITC{unit_id(1)}", unit_id(1), "offline", "2026-01-01T00:00:00.000Z") == (
            shown.name,
            shown.mac,
            shown.state,
            shown.registered_at,
        )
        assert [certificate.state for certificate in shown.certificates] == ["issued"]
        assert [(event.kind, event.actor) for event in await office.events() if event.unit_id == unit_id(1)] == [
            ("device-registered", "enrolment"),
            ("device-enrolled", HERE),
        ]

    async def test_ask_for_more(self, office: Office) -> None:
        """CA:TRUE, foreign names, usages and subject attributes are asked for in vain."""
        key = generate_key(KeyType.P256)
        subject = x509.Name(
            [
                x509.NameAttribute(NameOID.COMMON_NAME, unit_id(1)),
                x509.NameAttribute(NameOID.ORGANIZATION_NAME, "IGEL"),
                x509.NameAttribute(NameOID.SERIAL_NUMBER, "4711"),
            ]
        )
        request = (
            x509.CertificateSigningRequestBuilder(subject)
            .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
            .add_extension(x509.SubjectAlternativeName([x509.DNSName("ums.lab")]), critical=False)
            .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
            .sign(key, hashes.SHA256())
            .public_bytes(Encoding.DER)
        )
        issued = read(await office.enrol(Endpoint(1), await office.mass_key(), request=request))

        assert not issued.extensions.get_extension_for_class(x509.BasicConstraints).value.ca
        assert list(issued.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value) == [
            ExtendedKeyUsageOID.CLIENT_AUTH
        ]
        with pytest.raises(x509.ExtensionNotFound):
            issued.extensions.get_extension_for_class(x509.SubjectAlternativeName)
        assert {unit_id(1), "umslab simulation"} == {attribute.value for attribute in issued.subject}

    @pytest.mark.parametrize("kind", [KeyType.P384, KeyType.P521, KeyType.RSA2048])
    async def test_other_keys(self, office: Office, kind: KeyType) -> None:
        """X7: what devices have."""
        key = generate_key(kind)
        issued = await office.enrol(Endpoint(1), await office.mass_key(), request=build_request(unit_id(1), key))

        assert key.public_key() == read(issued).public_key()


class TestBadRequests:
    """400, and nothing happens."""

    def _requests(self) -> dict[str, bytes]:
        good = Endpoint(1).request
        weak = rsa.generate_private_key(65537, 1024)  # noqa: S505 - to be refused
        two_names = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name) for name in (unit_id(1), unit_id(2))])
        key = generate_key(KeyType.P256)
        return {
            "not signed with the key": good[:-1] + bytes((good[-1] ^ 1,)),
            "cannot be read": b"\x30\x03\x02\x01\x05",
            "larger than 16384 bytes": b"\x30" * 16_385,
            "not a unit ID": build_request(UnitId("00:e0:c5:14:32:5b"), key),
            "RSA": build_request(unit_id(1), weak),
            "2 common names": x509.CertificateSigningRequestBuilder(two_names)
            .sign(key, hashes.SHA256())
            .public_bytes(Encoding.DER),
            "0 common names": x509.CertificateSigningRequestBuilder(x509.Name([]))
            .sign(key, hashes.SHA256())
            .public_bytes(Encoding.DER),
        }

    async def test_each(self, office: Office) -> None:
        """Broken signature, no request, too long, no unit ID, weak key, none or several names."""
        secret = await office.mass_key()
        for reason, request in self._requests().items():
            answer = await office.enrolment.enrol(request, secret, HERE)

            assert isinstance(answer, EnrolmentRefused), reason
            assert answer.status == 400, reason
            assert reason in answer.message
        assert await office.registry.list_devices() == []
        assert await office.uses() == [0]

    async def test_they_are_no_guesses(self, office: Office) -> None:
        """A broken request is not held against the device."""
        secret, device = await office.mass_key(), Endpoint(1)
        for _ in range(20):
            await office.ask(device, secret, request=device.request[:-1] + b"\x00")

        assert status(await office.ask(device, secret)) == 200


class TestLostAnswers:
    """A device whose answer was lost asks again with the same bytes."""

    async def test_same_request_same_certificate(self, tmp_path: Path) -> None:
        """Also after a restart of the server, and after the certificate was used."""
        device = Endpoint(1)
        async with open_office(tmp_path) as office:
            secret = await office.mass_key()
            first = await office.enrol(device, secret)
        async with open_office(tmp_path) as office:
            second = await office.enrol(device, secret)
            await office.use(second)
            third = await office.enrol(device, secret)

            assert first == second == third
            assert await office.certificate_states() == ["active"]

    async def test_at_the_same_time(self, office: Office) -> None:
        """Two connections with the same request end in one certificate."""
        secret, device = await office.mass_key(), Endpoint(1)
        answers = await gather(*(office.enrol(device, secret) for _ in range(4)))

        assert len(set(answers)) == 1
        assert await office.certificate_states() == ["issued"]

    async def test_other_request_other_serial(self, office: Office) -> None:
        """Any other request gets a new certificate, even with the same key pair."""
        secret, device = await office.mass_key(), Endpoint(1)
        first = read(await office.enrol(device, secret))
        second = read(await office.enrol(device, secret, request=device.another_request()))

        assert first.serial_number != second.serial_number

    async def test_other_key_other_serial(self, office: Office) -> None:
        """The same request under another first-authentication key is a new enrolment."""
        device = Endpoint(1)
        first = read(await office.enrol(device, await office.mass_key("one")))
        second = read(await office.enrol(device, await office.mass_key("two")))

        assert first.serial_number != second.serial_number

    async def test_not_when_it_no_longer_counts(self, office: Office, autojump_clock: MockClock) -> None:
        """A revoked, superseded or expired certificate is not handed out again."""
        secret, device = await office.mass_key(), Endpoint(1)
        revoked = await office.enrol(device, secret)
        await office.registry.revoke(unit_id(1), actor="ann", reason="lost")
        superseded = await office.enrol(device, secret)
        await office.use(await office.enrol(device, secret, request=device.another_request()))
        expired = await office.enrol(device, secret)
        await trio.sleep(366 * DAY)
        last = await office.enrol(device, secret)

        assert len({revoked, superseded, expired, last}) == 4

    async def test_one_not_superseded_after_the_newest_was_used(self, office: Office) -> None:
        """However many were issued, in one moment, the use of the newest leaves one."""
        secret, device = await office.mass_key(), Endpoint(1)
        issued = await gather(*(office.enrol(device, secret, request=device.another_request()) for _ in range(4)))
        shown = (await office.registry.show(unit_id(1))).certificates
        newest = next(one for one in issued if read(one).serial_number == int(shown[-1].serial, 16))
        await office.use(newest)

        assert await office.certificate_states() == ["superseded"] * 3 + ["active"]

    async def test_older_one_supersedes_no_newer_one(self, office: Office) -> None:
        """A device that uses the older of two certificates keeps the way to the newer one open."""
        secret, device = await office.mass_key(), Endpoint(1)
        older = await office.enrol(device, secret)
        newer = await office.enrol(device, secret, request=device.another_request())
        await office.use(older)
        before = await office.certificate_states()
        await office.use(newer)

        assert before == ["active", "issued"]
        assert await office.certificate_states() == ["superseded", "active"]

    async def test_clock_that_is_set_back(self, tmp_path: Path, autojump_clock: MockClock) -> None:
        """What is newer is decided by the order of issue, not by dates: a server's clock may be corrected."""
        secret, device = "mass-key", Endpoint(1)
        async with open_office(tmp_path) as office:
            await office.mass_key(secret)
            await trio.sleep(3600)
            await office.use(await office.enrol(device, secret))
            office.clock._start -= timedelta(minutes=30)  # type: ignore[attr-defined]
            await office.use(await office.enrol(device, secret, request=device.another_request()))

            assert await office.certificate_states() == ["superseded", "active"]


class TestBin:
    """RB4, error 38: a device in the recycle bin blocks its own new enrolment."""

    async def test_refused_until_restored(self, office: Office) -> None:
        """403 with a sentence; restored it is welcome."""
        secret, device = await office.mass_key(), Endpoint(1)
        await office.enrol(device, secret)
        await office.registry.delete(unit_id(1), actor="ann")
        same = await office.ask(device, secret)
        other = await office.ask(device, secret, request=device.another_request())
        await office.registry.restore(unit_id(1), actor="ann")

        assert IN_BIN == same == other
        assert status(await office.ask(device, secret)) == 200
        assert [event.cause for event in await office.events("enrolment-refused")] == ["in-bin", "in-bin"]

    async def test_strangers_learn_nothing(self, office: Office) -> None:
        """With a wrong key a device in the bin is answered like any other."""
        await office.enrol(Endpoint(1), await office.mass_key())
        await office.registry.delete(unit_id(1), actor="ann")

        assert await office.ask(Endpoint(1), "wrong") == WRONG_KEY

    async def test_purged_device_may_come_again(self, office: Office) -> None:
        """Deleted for good it is a new device, and nobody will tell it that it was deleted."""
        secret = await office.mass_key()
        await office.device(1, secret=secret)
        await office.registry.purge(unit_id(1), actor="ann")
        again = await office.enrol(Endpoint(1), secret)
        await office.use(again)

        assert await office.certificate_states() == ["active"]

    async def test_registering_again(self, office: Office) -> None:
        """L9, A2: with its old certificate it is only told that it was deleted; a valid key lets it in anew, once."""
        secret, device = await office.mass_key(), Endpoint(1)
        old = await office.enrol(device, secret)
        await office.use(old)
        await office.registry.delete(unit_id(1), actor="ann")
        in_bin = await office.ask(device, secret, request=device.another_request())
        await office.registry.purge(unit_id(1), actor="ann")
        told = await office.admit(old)
        renewal = await renew(office, device, old)
        await office.use(await office.enrol(device, secret))
        strange = await office.admit(old)

        assert in_bin is IN_BIN
        assert isinstance(told, Admitted)
        assert not told.known
        assert status(renewal) == 403
        assert isinstance(strange, NotAdmitted)
        assert strange.refusal is Refusal.REFUSED  # not "unknown device", which would release it


class TestImported:
    """K8: devices that are known before they come."""

    async def test_welcome(self, office: Office) -> None:
        """It keeps what was known about it and is registered now."""
        await office.registry.import_devices([ImportedDevice(unit_id(1), name="Kiosk")], actor="ann")
        before = (await office.registry.show(unit_id(1))).state
        await office.enrol(Endpoint(1), await office.mass_key())
        shown = await office.registry.show(unit_id(1))
        (registered,) = await office.events("device-registered")

        assert before == "never-registered"
        assert (shown.name, shown.state) == ("Kiosk", "offline")
        assert registered.cause == "imported before"


class TestKnownDevice:
    """What happens to a known, active device that enrols again with a valid key."""

    @pytest.mark.parametrize("policy", KnownDevice)
    async def test_never_connected_is_not_active(self, tmp_path: Path, policy: KnownDevice) -> None:
        """A device whose first certificate never came through is served, whatever the policy."""
        async with open_office(tmp_path, known_device=policy) as office:
            secret, device = await office.mass_key(), Endpoint(1)
            await office.enrol(device, secret)
            await office.enrol(device, secret, request=device.another_request())

            assert await office.certificate_states() == ["issued", "issued"]

    async def test_accept(self, office: Office) -> None:
        """It gets another certificate; the older one counts until the new one is used."""
        secret = await office.mass_key()
        first = await office.device(1, secret=secret)
        second = await office.enrol(Endpoint(1), secret)
        await office.use(first)
        before = await office.certificate_states()
        await office.use(second)

        assert before == ["active", "issued"]
        assert await office.certificate_states() == ["superseded", "active"]

    async def test_replace(self, tmp_path: Path) -> None:
        """The older ones are revoked at once."""
        async with open_office(tmp_path, known_device=KnownDevice.REPLACE) as office:
            secret, device = await office.mass_key(), Endpoint(1)
            first = await office.device(1, secret=secret)
            second = await office.enrol(device, secret)
            again = await office.enrol(device, secret)
            refused = await office.admit(first)
            await office.use(second)

            assert second == again
            assert isinstance(refused, NotAdmitted)
            assert (refused.status, refused.refusal) == (403, Refusal.REVOKED)
            assert await office.certificate_states() == ["revoked", "active"]

    async def test_refuse(self, tmp_path: Path) -> None:
        """403; the key is not used up, the older certificate counts, and a lost answer is still repeated."""
        async with open_office(tmp_path, known_device=KnownDevice.REFUSE) as office:
            secret, device = await office.mass_key(), Endpoint(1)
            first = await office.enrol(device, secret)
            await office.use(first)
            refused = await office.ask(device, secret, request=device.another_request())
            await office.use(first)

            assert status(refused) == 403
            assert first == await office.enrol(device, secret)
            assert await office.uses() == [1]
            assert [event.cause for event in await office.events("enrolment-refused")] == ["known-device"]


class TestWrongKeys:
    """401, then 429 for this (source, unit ID), and nobody else."""

    async def test_slowed_down(self, office: Office, autojump_clock: MockClock) -> None:
        """Five wrong keys are borne; then the next is not even looked at for ten seconds."""
        secret, device = await office.mass_key(), Endpoint(1)
        answers = [await office.ask(device, "wrong") for _ in range(6)]
        right_too_early = await office.ask(device, secret)
        await trio.sleep(9.9)
        still_too_early = await office.ask(device, secret)
        await trio.sleep(0.2)

        assert [status(answer) for answer in answers] == [401] * 5 + [429]
        assert isinstance(right_too_early, EnrolmentRefused)
        assert (right_too_early.status, right_too_early.retry_after) == (429, 10.0)
        assert status(still_too_early) == 429
        assert status(await office.ask(device, secret)) == 200

    async def test_right_keys_of_others_are_served(self, office: Office) -> None:
        """The same device from elsewhere and other devices from here are not delayed."""
        secret, device = await office.mass_key(), Endpoint(1)
        for _ in range(10):
            await office.ask(device, "wrong")

        assert status(await office.ask(Endpoint(2), secret, source=HERE)) == 200
        assert status(await office.ask(device, secret, source=ELSEWHERE)) == 200

    async def test_right_key_forgives(self, office: Office) -> None:
        """After the right key five wrong ones are borne again."""
        secret, device = await office.mass_key(), Endpoint(1)
        for _ in range(4):
            await office.ask(device, "wrong")
        await office.ask(device, secret)

        assert [status(await office.ask(device, "wrong")) for _ in range(5)] == [401] * 5

    async def test_at_the_same_time(self, office: Office) -> None:
        """A hundred guesses at once get no more tries than a hundred one after the other."""
        await office.mass_key()
        answers = await gather(*(office.ask(Endpoint(1), f"guess-{number}") for number in range(100)))

        assert sorted(map(status, answers)) == [401] * 5 + [429] * 95
        assert len(await office.events("enrolment-refused")) == 5

    async def test_guessing_source(self, tmp_path: Path, autojump_clock: MockClock) -> None:
        """Who guesses for many devices gets 429 for wrong keys, fills no feed, and harms nobody behind its address."""
        rules = ThrottleRules(wrong_keys_per_source=10)
        async with open_office(tmp_path, rules=rules) as office:
            secret = await office.mass_key()
            answers = [await office.ask(Endpoint(number), "wrong") for number in range(15)]

            assert [status(answer) for answer in answers] == [401] * 10 + [429] * 5
            assert len(await office.events("enrolment-refused")) == 10
            assert status(await office.ask(Endpoint(99), secret)) == 200

    async def test_restricted_keys_count_as_wrong(self, office: Office) -> None:
        """Another device's bound key, a disabled and a spent one all look like any wrong key."""
        (bound,) = await office.keys.create(KeyKind.BOUND, bound_to=[unit_id(9)], actor="ann")

        assert await office.ask(Endpoint(1), bound.secret or "") == WRONG_KEY
        assert [(event.kind, event.cause) for event in await office.events() if event.unit_id == unit_id(1)] == [
            ("enrolment-refused", "wrong-key")
        ]


class TestRenewal:
    """Over the certificate being renewed, for the same identity."""

    async def test_new_certificate(self, office: Office) -> None:
        """A new certificate, with a new key if the device likes; the older one counts until the new one is used."""
        device = Endpoint(1)
        first = await office.enrol(device, await office.mass_key())
        await office.use(first)
        fresh = Endpoint(1)
        second = await renewed(office, fresh, first)
        await office.use(first)
        before = await office.certificate_states()
        await office.use(second)
        refused = await office.admit(first)

        assert fresh.key.public_key() == read(second).public_key()
        assert before == ["active", "issued"]
        assert await office.certificate_states() == ["superseded", "active"]
        assert isinstance(refused, NotAdmitted)
        assert [(event.kind, event.actor) for event in await office.events("certificate-renewed")] == [
            ("certificate-renewed", HERE)
        ]

    async def test_same_request_same_certificate(self, tmp_path: Path) -> None:
        """A lost answer is repeated, also after a restart; another request gets another certificate."""
        device = Endpoint(1)
        async with open_office(tmp_path) as office:
            current = await office.enrol(device, await office.mass_key())
            await office.use(current)
            first = await renewed(office, device, current, request=device.request)
        async with open_office(tmp_path) as office:
            again = await renewed(office, device, current, request=device.request)
            other = await renewed(office, device, current)

            assert current != first == again != other

    async def test_renewing_the_renewed(self, office: Office) -> None:
        """The same request over the next certificate is a new renewal, not a lost answer."""
        device = Endpoint(1)
        first = await office.enrol(device, await office.mass_key())
        await office.use(first)
        second = await renewed(office, device, first, request=device.request)
        await office.use(second)
        third = await renewed(office, device, second, request=device.request)

        assert len({first, second, third}) == 3

    async def test_other_identity(self, office: Office) -> None:
        """A device cannot renew for another one."""
        certificate = await office.device(1)
        answer = await renew(office, Endpoint(2), certificate)

        assert status(answer) == 400
        assert await office.events("certificate-renewed") == []

    async def test_bad_request(self, office: Office) -> None:
        """Proof of possession is asked for here too."""
        device = Endpoint(1)
        certificate = await office.enrol(device, await office.mass_key())

        assert status(await renew(office, device, certificate, request=device.request[:-1] + b"\x00")) == 400
        assert status(await renew(office, device, b"no certificate")) == 403

    async def test_superseded_and_revoked(self, office: Office) -> None:
        """403, and the feed says why."""
        device = Endpoint(1)
        first = await office.enrol(device, await office.mass_key())
        await office.use(first)
        second = await renewed(office, device, first)
        await office.use(second)
        superseded = await renew(office, device, first)
        await office.registry.revoke(unit_id(1), actor="ann", reason="stolen")
        revoked = await renew(office, device, second)

        assert [status(superseded), status(revoked)] == [403, 403]
        assert [event.cause for event in await office.events("renewal-refused")] == [
            "this certificate is superseded",
            "this certificate is revoked",
        ]

    async def test_lost_answer_after_superseding(self, office: Office) -> None:
        """Once the newer one was used, the older one renews nothing, not even by the same request."""
        device = Endpoint(1)
        first = await office.enrol(device, await office.mass_key())
        await office.use(first)
        await office.use(await renewed(office, device, first, request=device.request))

        assert status(await renew(office, device, first, request=device.request)) == 403

    async def test_in_bin(self, office: Office) -> None:
        """A device in the bin keeps its certificate, but gets no other."""
        device = Endpoint(1)
        certificate = await office.enrol(device, await office.mass_key())
        await office.use(certificate)
        await office.registry.delete(unit_id(1), actor="ann")

        assert await renew(office, device, certificate) == IN_BIN

    async def test_unknown_certificate(self, office: Office) -> None:
        """A certificate of a purged device is not in the registry."""
        device = Endpoint(1)
        certificate = await office.enrol(device, await office.mass_key())
        await office.registry.purge(unit_id(1), actor="ann")
        answer = await renew(office, device, certificate)

        assert status(answer) == 403
        assert (await office.events())[-1].kind == "renewal-refused"

    @pytest.mark.parametrize("accept_expired", [False, True])
    async def test_expired(self, tmp_path: Path, autojump_clock: MockClock, *, accept_expired: bool) -> None:
        """X9: with the switch an expired certificate is renewed, without it is refused."""
        async with open_office(tmp_path, accept_expired=accept_expired) as office:
            device = Endpoint(1)
            certificate = await office.enrol(device, await office.mass_key())
            await office.use(certificate)
            await trio.sleep(400 * DAY)

            assert (200 if accept_expired else 403) == status(await renew(office, device, certificate))

    async def test_switch_does_not_forgive_the_rest(self, tmp_path: Path, autojump_clock: MockClock) -> None:
        """X9 is about dates gone by: revoked and not yet valid certificates stay refused."""
        async with open_office(tmp_path, accept_expired=True) as office:
            device = Endpoint(1)
            certificate = await office.enrol(device, await office.mass_key())
            office.clock._start -= timedelta(days=1)  # type: ignore[attr-defined]
            too_early = await renew(office, device, certificate)
            office.clock._start += timedelta(days=500)  # type: ignore[attr-defined]
            await office.registry.revoke(unit_id(1), actor="ann", reason="stolen")

            assert [status(too_early), status(await renew(office, device, certificate))] == [403, 403]


async def test_renewal_wave(office: Office, monkeypatch: pytest.MonkeyPatch) -> None:
    """A thousand devices renew at once: each gets its certificate, and they share a few commits."""
    secret, wave = await office.mass_key(), 1_000
    key = generate_key(KeyType.P256)
    devices = [Endpoint(number, key) for number in range(wave)]
    certificates = await gather(*(office.enrol(device, secret) for device in devices))
    commit, batches = office.store._commit_batch, []

    def counted(batch: list[Any]) -> Any:
        batches.append(len(batch))
        return commit(batch)

    monkeypatch.setattr(office.store, "_commit_batch", counted)
    answers = await gather(
        *(
            renewed(office, device, certificate, request=device.request)
            for device, certificate in zip(devices, certificates, strict=True)
        )
    )

    assert sum(batches) == wave
    assert len(batches) <= 2 * wave / MAX_BATCH
    assert [read(answer).public_key() == key.public_key() for answer in answers] == [True] * wave
    assert len({read(answer).serial_number for answer in answers}) == wave
    assert len(await office.events("certificate-renewed")) == wave


class TestAuthorityAtItsEnd:
    """A client CA that can issue no more is the server's trouble: 503, and nothing else happens."""

    async def test_enrolment_and_renewal(self, office: Office) -> None:
        """The key stays unused, nobody is registered, and the log tells."""
        certificate = await office.device(1)
        secret = await office.one_time_key()
        office.authority = create_root(
            "umslab lab over", KeyType.P256, now=EPOCH - 2 * YEAR, lifetime=timedelta(days=30), path_length=0
        )
        with rendered_logs() as logs:
            enrolment = await office.ask(Endpoint(2), secret)
            renewal = await renew(office, Endpoint(1), certificate)

        assert [status(enrolment), status(renewal)] == [503, 503]
        assert await office.uses() == [1, 0]
        assert len(await office.registry.list_devices()) == 1
        assert len(logs) == 2
        assert all("expired" in line for line in logs)
