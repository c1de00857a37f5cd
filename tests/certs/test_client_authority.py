# SPDX-License-Identifier: Apache-2.0
"""Tests of umslab_certs.client_authority."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from cryptography import x509

from umslab_certs.authority import create_root
from umslab_certs.chain import extension, fingerprint, to_pem
from umslab_certs.client_authority import MAX_EARLIER, ClientAuthority
from umslab_certs.errors import Fault
from umslab_certs.keys import KeyType, PrivateKey, key_from_pem, key_to_pem

from .cuts import power_fails_after, steps_of
from .pki import DAY, NOW, SERVER, Pair, make, openssl_bytes, refused

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from umslab_certs.csr import EnrolmentRequest

COMPANY = make("company root", ca=True, sign_usage=True, end=NOW + 3650 * DAY)
ISSUING = make("company issuing", COMPANY, ca=True, sign_usage=True, end=NOW + 3650 * DAY)
WEB = make("ums.corp", ISSUING, names=["ums.corp", "localhost"], purposes=[SERVER])
COMPANY_CHAIN = to_pem([COMPANY.certificate, WEB.certificate, ISSUING.certificate])
ABOVE = to_pem([ISSUING.certificate, COMPANY.certificate])


def contents(folder: Path) -> dict[str, bytes]:
    """Every file of a folder."""
    return {file.name: file.read_bytes() for file in folder.iterdir()}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Where the authority will be."""
    return tmp_path / "state" / "est"


class TestClientAuthority:
    """The authority for devices."""

    def test_what_is_made(self, folder: Path, request_of_device: EnrolmentRequest) -> None:
        """A root of its own that allows no authority below it, in one private file."""
        store = ClientAuthority.create(folder, now=NOW)
        certificate = store.authority.certificate

        assert certificate.subject.rfc4514_string().startswith("O=umslab simulation,CN=umslab lab EST client CA ")
        assert extension(certificate, x509.BasicConstraints) == x509.BasicConstraints(ca=True, path_length=0)
        assert store.certificates == (certificate,)
        assert store.export_chain() == to_pem([certificate])
        assert list(contents(folder)) == ["authority.pem"]
        assert (folder / "authority.pem").stat().st_mode & 0o777 == 0o600
        store.authority.issue_device(request_of_device, now=NOW).verify_directly_issued_by(certificate)

    def test_open_gives_the_same(self, folder: Path, request_of_device: EnrolmentRequest) -> None:
        """After a restart the same authority issues."""
        made = ClientAuthority.create(folder, key_type=KeyType.P384, now=NOW)
        opened = ClientAuthority.open(folder)

        assert opened.certificates == made.certificates
        issued = opened.authority.issue_device(request_of_device, now=NOW)
        issued.verify_directly_issued_by(made.authority.certificate)

    def test_no_second_authority(self, folder: Path) -> None:
        """Creating again would orphan every device certificate."""
        ClientAuthority.create(folder, now=NOW)

        with refused(Fault.EXISTS, "authority.pem"):
            ClientAuthority.create(folder, now=NOW)

    def test_missing_and_damaged(self, folder: Path) -> None:
        """What is wrong with the file is told with its path and a hint."""
        with refused(Fault.UNREADABLE, str(folder / "authority.pem"), "backup"):
            ClientAuthority.open(folder)
        ClientAuthority.create(folder, now=NOW)
        (folder / "authority.pem").write_bytes(key_to_pem(ISSUING.key) + to_pem([ISSUING.certificate]))
        with refused(Fault.INCOMPLETE, str(folder), "CN=company root", "backup"):
            ClientAuthority.open(folder)

    def test_import(self, folder: Path, request_of_device: EnrolmentRequest) -> None:
        """An authority below a company root issues from then on, and shows its chain."""
        store = ClientAuthority.create(folder, now=NOW)
        pem = to_pem([COMPANY.certificate, ISSUING.certificate])

        store.import_authority(pem, key_to_pem(ISSUING.key), now=NOW)

        assert store.certificates == (ISSUING.certificate, COMPANY.certificate)
        assert store.export_chain() == ABOVE + to_pem(store.earlier)
        assert ClientAuthority.open(folder).certificates == store.certificates
        issued = store.authority.issue_device(request_of_device, now=NOW)
        issued.verify_directly_issued_by(ISSUING.certificate)

    def test_import_of_a_root(self, folder: Path) -> None:
        """A self-signed authority is its own chain."""
        store = ClientAuthority.create(folder, now=NOW)
        root = create_root("other lab", KeyType.P256, now=NOW)

        store.import_authority(to_pem(root.chain), key_to_pem(root.key), now=NOW)

        assert store.certificates == root.chain

    def test_refusals_change_nothing(self, folder: Path) -> None:
        """Each defect has its own refusal, and the old authority goes on."""
        store = ClientAuthority.create(folder, now=NOW)
        before = contents(folder)
        tight = make("tight root", ca=True, path_length=0)
        below_tight = make("below", tight, ca=True)
        expired = make("old", COMPANY, ca=True, end=NOW - DAY / 2)
        weak = make("weak", ca=True, key=_short_rsa_key())
        cases: list[tuple[Fault, str, bytes, Pair]] = [
            (Fault.NOT_A_CA, "CN=ums.corp", COMPANY_CHAIN, WEB),
            (Fault.NOT_A_CA, "allows 0", to_pem([below_tight.certificate, tight.certificate]), below_tight),
            (Fault.MISMATCHED, "private key", ABOVE, WEB),
            (Fault.INCOMPLETE, "CN=company root", to_pem([ISSUING.certificate]), ISSUING),
            (Fault.EXPIRED, "CN=old", to_pem([expired.certificate, COMPANY.certificate]), expired),
            (Fault.WEAK_KEY, "1024", to_pem([weak.certificate]), weak),
            (Fault.UNREADABLE, "the chain", b"", ISSUING),
        ]

        for fault, words, chain_pem, pair in cases:
            with refused(fault, words):
                store.import_authority(chain_pem, key_to_pem(pair.key), now=NOW)
        assert contents(folder) == before


class TestSuccession:
    """V7: a new authority issues, earlier ones are accepted."""

    def test_renew(self, folder: Path, request_of_device: EnrolmentRequest) -> None:
        """The new one issues, both are accepted and exported, and a restart changes nothing."""
        store = ClientAuthority.create(folder, now=NOW)
        first = store.authority.certificate

        store.renew(KeyType.P384, now=NOW + DAY)

        second = store.authority.certificate
        assert second != first
        assert store.accepted == (second, first) == store.all_certificates
        assert store.export_chain() == to_pem([second, first])
        store.authority.issue_device(request_of_device, now=NOW + DAY).verify_directly_issued_by(second)
        assert ClientAuthority.open(folder).accepted == store.accepted

    def test_earlier_keys_go(self, folder: Path) -> None:
        """What issues no more has no key here."""
        store = ClientAuthority.create(folder, now=NOW)
        store.renew(KeyType.P256, now=NOW)
        (earlier,) = (content for name, content in contents(folder).items() if name != "authority.pem")

        assert b"PRIVATE" not in earlier
        assert {file.stat().st_mode & 0o777 for file in folder.iterdir()} == {0o600}

    def test_retire(self, folder: Path) -> None:
        """A part of its fingerprint, in any spelling, or its beginning names it; then it is accepted no longer."""
        store = ClientAuthority.create(folder, now=NOW)
        first = store.authority.certificate
        store.renew(KeyType.P256, now=NOW)
        parts = fingerprint(first).parts
        names = [*parts, parts[0][:8], parts[2].lower(), str(fingerprint(first)), parts[0] + ":" + parts[1]]

        assert {store.find_earlier(name) for name in names} == {first}
        store.retire(first)
        assert store.accepted == (store.authority.certificate,)
        assert list(contents(folder)) == ["authority.pem"]
        with refused(Fault.INCOMPLETE, "no earlier client CA", parts[0]):
            store.find_earlier(parts[0])

    def test_names_that_name_nothing(self, folder: Path) -> None:
        """Too short, no digits, and the one that issues are refused."""
        store = ClientAuthority.create(folder, now=NOW)

        with refused(Fault.UNREADABLE, "'ABC'"):
            store.find_earlier("ABC")
        with refused(Fault.UNREADABLE, "fingerprint"):
            store.find_earlier("no digits at all")
        with refused(Fault.EXISTS, "is the one that issues"):
            store.find_earlier(fingerprint(store.authority.certificate).parts[3])

    def test_back_again(self, folder: Path) -> None:
        """An earlier authority that issues once more is not an earlier one any longer."""
        store = ClientAuthority.create(folder, now=NOW)
        store.import_authority(ABOVE, key_to_pem(ISSUING.key), now=NOW)
        store.renew(KeyType.P256, now=NOW)
        middle = store.authority.certificate
        store.import_authority(ABOVE, key_to_pem(ISSUING.key), now=NOW)

        assert store.accepted[:2] == (ISSUING.certificate, middle)
        assert len(store.accepted) == 3
        assert set(ClientAuthority.open(folder).accepted) == set(store.accepted)
        with refused(Fault.EXISTS, "issues already"):
            store.import_authority(ABOVE, key_to_pem(ISSUING.key), now=NOW)

    def test_not_too_many(self, folder: Path) -> None:
        """Every accepted authority is sent in each handshake, so their number is bounded."""
        store = ClientAuthority.create(folder, now=NOW)
        for _ in range(MAX_EARLIER):
            store.renew(KeyType.P256, now=NOW)

        with refused(Fault.TOO_LARGE, "retire one"):
            store.renew(KeyType.P256, now=NOW)
        assert len(store.accepted) == MAX_EARLIER + 1

    def test_damaged_earlier(self, folder: Path) -> None:
        """A damaged file is named, not forgotten: its devices would be locked out."""
        store = ClientAuthority.create(folder, now=NOW)
        store.renew(KeyType.P256, now=NOW)
        (file,) = folder.glob("earlier-*.pem")
        file.write_bytes(b"damaged")

        with refused(Fault.UNREADABLE, str(file), "backup"):
            ClientAuthority.open(folder)


def _renew(store: ClientAuthority) -> None:
    store.renew(KeyType.P256, now=NOW)


def _back(store: ClientAuthority) -> None:
    store.import_authority(ABOVE, key_to_pem(ISSUING.key), now=NOW)


def _retire(store: ClientAuthority) -> None:
    store.retire(store.earlier[0])


class TestPowerCuts:
    """A change that stops after any step leaves an authority that issues and every other one accepted."""

    @pytest.mark.parametrize("change", [_renew, _back, _retire])
    def test_after_every_step(self, tmp_path: Path, change: Callable[[ClientAuthority], None]) -> None:
        """The old state or the new one, both usable; what comes next works."""

        def prepared(name: str) -> ClientAuthority:
            store = ClientAuthority.create(tmp_path / name, now=NOW)
            store.import_authority(ABOVE, key_to_pem(ISSUING.key), now=NOW)
            store.renew(KeyType.P256, now=NOW)
            return store

        whole = prepared("whole")
        seen = set()
        for cut in range(steps_of(lambda: change(whole)) + 1):
            store = prepared(f"cut-{cut}")
            before = set(store.accepted)
            with power_fails_after(cut):
                change(store)
            opened = ClientAuthority.open(tmp_path / f"cut-{cut}")
            lost = before - set(opened.accepted)
            seen.add((opened.authority.certificate in before, len(opened.accepted)))

            assert len(lost) == (1 if change is _retire and len(opened.accepted) == 2 else 0)
            opened.renew(KeyType.P256, now=NOW)
            assert ClientAuthority.open(tmp_path / f"cut-{cut}").accepted[0] == opened.authority.certificate
        assert len(seen) >= (1 if change is _back else 2)


def _short_rsa_key() -> PrivateKey:
    return key_from_pem(openssl_bytes("genrsa", "1024"))
