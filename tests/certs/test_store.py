# SPDX-License-Identifier: Apache-2.0
"""Tests of umslab_certs.store."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from umslab_certs.authority import ROOT_LIFETIME
from umslab_certs.chain import fingerprint, load_pem_certificates, to_pem
from umslab_certs.errors import Fault
from umslab_certs.identity import load_identity_chain
from umslab_certs.keys import KeyType, PrivateKey, generate_key, key_from_pem, key_to_pem
from umslab_certs.names import covers
from umslab_certs.store import WebCertificates
from umslab_certs.tls import server_context

from .cuts import power_fails_after, steps_of
from .pki import CLIENT, DAY, NOW, SERVER, Pair, make, openssl, openssl_bytes, refused

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


COMPANY = make("company root", ca=True, sign_usage=True, end=NOW + 3650 * DAY)
ISSUING = make("company issuing", COMPANY, ca=True, sign_usage=True, end=NOW + 3650 * DAY)
WEB = make("ums.corp", ISSUING, names=["ums.corp", "localhost"], purposes=[SERVER])
COMPANY_CHAIN = to_pem([COMPANY.certificate, WEB.certificate, ISSUING.certificate])
ABOVE = to_pem([ISSUING.certificate, COMPANY.certificate])


def new_web(folder: Path, names: tuple[str, ...] = ("ums.lab",)) -> WebCertificates:
    """Web certificates of the quick kind."""
    return WebCertificates.create(folder, names, root_key_type=KeyType.P256, web_key_type=KeyType.P256, now=NOW)


def contents(folder: Path) -> dict[str, bytes]:
    """Every file of a folder."""
    return {file.name: file.read_bytes() for file in folder.iterdir()}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Where certificates will be."""
    return tmp_path / "state" / "web"


class TestCreateAndOpen:
    """A new folder, and the same folder later."""

    def test_what_is_made(self, folder: Path) -> None:
        """A root with our name on it, a leaf below it, and the values people compare."""
        web = new_web(folder, ("ums.lab", "192.0.2.7"))

        assert web.root.subject.rfc4514_string().startswith("O=umslab simulation,CN=umslab lab root ")
        assert web.chain == (web.leaf, web.root)
        assert all(covers(web.leaf, name) for name in ("ums.lab", "192.0.2.7", "localhost"))
        assert web.fingerprint == fingerprint(web.root)
        assert web.token == web.fingerprint.token
        assert web.leaf_fingerprint == fingerprint(web.leaf)
        assert web.export_chain() == to_pem(web.chain)

    def test_files(self, folder: Path) -> None:
        """The files are private, complete, and hold what they are named for; the root stays out of the handshake."""
        web = new_web(folder)

        assert set(contents(folder)) == {"chain.pem", "root.key", "root.pem", "web.pem"}
        assert folder.stat().st_mode & 0o777 == 0o700
        assert {file.stat().st_mode & 0o777 for file in folder.iterdir()} == {0o600}
        assert load_pem_certificates(contents(folder)["chain.pem"], "it") == list(web.chain)
        assert load_pem_certificates(contents(folder)["root.pem"], "it") == [web.root]
        assert load_identity_chain(web.identity_file)[1] == [web.leaf]
        server_context(web.identity_file, [])

    def test_openssl_verifies_the_files(self, folder: Path) -> None:
        """`openssl verify` finds the leaf good below the root."""
        new_web(folder)
        time = ["-attime", str(int(NOW.timestamp()))]

        assert "OK" in openssl("verify", *time, "-CAfile", str(folder / "root.pem"), str(folder / "chain.pem"))

    def test_default_keys(self) -> None:
        """C1, C2: without a wish, keys are RSA 4096."""
        defaults = WebCertificates.create.__kwdefaults__

        assert defaults == {"root_key_type": KeyType.RSA4096, "web_key_type": KeyType.RSA4096}

    def test_open_gives_the_same(self, folder: Path) -> None:
        """What was made is there after a restart, and opening changes nothing."""
        web, before = new_web(folder), contents(folder)
        again = WebCertificates.open(folder)

        assert again.chain == web.chain
        assert again.identity_file == web.identity_file
        assert contents(folder) == before

    def test_roots_differ(self, tmp_path: Path) -> None:
        """Each lab has a root of its own, also by name."""
        assert new_web(tmp_path / "a").root.subject != new_web(tmp_path / "b").root.subject

    def test_no_second_root(self, folder: Path) -> None:
        """Creating again would cut every device off, so it is refused."""
        new_web(folder)
        before = contents(folder)

        with refused(Fault.EXISTS, str(folder / "web.pem")):
            new_web(folder)

        assert contents(folder) == before

    def test_interrupted_creation_starts_again(self, folder: Path) -> None:
        """A folder without the last file can be created again."""
        new_web(folder)
        (folder / "web.pem").unlink()

        assert new_web(folder).chain == WebCertificates.open(folder).chain

    def test_bad_name_makes_nothing(self, folder: Path) -> None:
        """A name that cannot be is refused before anything is written."""
        with refused(Fault.BAD_NAME):
            new_web(folder, ("not a name",))

        assert not folder.exists()

    @pytest.mark.parametrize("file", ["web.pem", "chain.pem", "root.pem"])
    @pytest.mark.parametrize("damage", [None, b"", b"-----BEGIN CERTIFICATE-----\nMII\n-----END CERTIFICATE-----\n"])
    def test_missing_and_damaged_files(self, folder: Path, file: str, damage: bytes | None) -> None:
        """A piece that is missing or damaged is named, with what to do."""
        new_web(folder)
        (folder / file).unlink()
        if damage is not None:
            (folder / file).write_bytes(damage)

        with refused(Fault.UNREADABLE, str(folder / file), "backup"):
            WebCertificates.open(folder)

    def test_files_of_different_labs(self, tmp_path: Path) -> None:
        """A leaf whose root is in none of the files is told with the folder."""
        new_web(tmp_path / "a")
        new_web(tmp_path / "b")
        for file in ("root.pem", "chain.pem"):
            (tmp_path / "b" / file).write_bytes((tmp_path / "a" / file).read_bytes())

        with refused(Fault.INCOMPLETE, f"{tmp_path / 'b'}: the chain is incomplete", "backup"):
            WebCertificates.open(tmp_path / "b")

    def test_no_key_in_sight(self, folder: Path) -> None:
        """Neither the object nor a refusal shows a key."""
        web = new_web(folder)
        (folder / "web.pem").write_bytes((folder / "web.pem").read_bytes().replace(b"BEGIN CERT", b"BEGIN CART"))

        with refused(Fault.UNREADABLE) as caught:
            WebCertificates.open(folder)

        assert "PRIVATE" not in repr(web) + repr(caught.value)


class TestRenew:
    """A new leaf below the same root."""

    def test_new_leaf_same_root(self, folder: Path) -> None:
        """Key, leaf and names are new, the kind of key, the root and the token stay."""
        web = new_web(folder)
        before = web.leaf

        web.renew(names=["new.lab"], now=NOW + 300 * DAY)

        assert web.leaf.public_key() != before.public_key()
        assert web.leaf.not_valid_after_utc == NOW + 665 * DAY
        assert covers(web.leaf, "new.lab")
        assert not covers(web.leaf, "ums.lab")
        reopened = WebCertificates.open(folder)
        assert reopened.chain == web.chain
        assert reopened.token == web.token
        server_context(web.identity_file, [])

    def test_expired_root(self, folder: Path) -> None:
        """A root that is over renews nothing, and nothing changes."""
        web = new_web(folder)
        before = contents(folder)

        with refused(Fault.EXPIRED, "umslab lab root"):
            web.renew(names=["ums.lab"], now=NOW + ROOT_LIFETIME + DAY)

        assert contents(folder) == before

    def test_damaged_root_key(self, folder: Path) -> None:
        """A root key that cannot be read is named, one that belongs to another root is refused."""
        web = new_web(folder)

        (folder / "root.key").write_bytes(key_to_pem(generate_key(KeyType.P256)))
        with refused(Fault.MISMATCHED, str(folder / "root.key")):
            web.renew(names=[], now=NOW)
        (folder / "root.key").write_bytes(b"x")
        with refused(Fault.UNREADABLE, str(folder / "root.key")):
            web.renew(names=[], now=NOW)


class TestImport:
    """A chain from elsewhere."""

    def test_company_chain_in_any_order(self, folder: Path) -> None:
        """C8: the imported chain replaces ours, and our root's key goes."""
        web = new_web(folder)

        web.import_chain(COMPANY_CHAIN, key_to_pem(WEB.key), names=["ums.corp", "localhost"], now=NOW)

        assert web.chain == (WEB.certificate, ISSUING.certificate, COMPANY.certificate)
        assert WebCertificates.open(folder).chain == web.chain
        assert load_identity_chain(web.identity_file)[1] == [WEB.certificate, ISSUING.certificate]
        assert web.token == fingerprint(COMPANY.certificate).token
        assert set(contents(folder)) == {"chain.pem", "root.pem", "web.pem"}
        server_context(web.identity_file, [])

    def test_imported_chain_cannot_be_renewed_here(self, folder: Path) -> None:
        """Without the root's key there is nothing to renew with."""
        web = new_web(folder)
        web.import_chain(COMPANY_CHAIN, key_to_pem(WEB.key), names=["ums.corp"], now=NOW)

        with refused(Fault.INCOMPLETE, "the chain was imported", "import a new chain"):
            web.renew(names=["ums.corp"], now=NOW)

    def test_import_after_import(self, folder: Path) -> None:
        """The next year's chain replaces this year's."""
        web = new_web(folder)
        following = make("ums.corp", ISSUING, names=["ums.corp"], purposes=[SERVER, CLIENT])
        web.import_chain(COMPANY_CHAIN, key_to_pem(WEB.key), names=["ums.corp"], now=NOW)
        web.import_chain(
            to_pem([following.certificate]) + ABOVE, key_to_pem(following.key), names=["ums.corp"], now=NOW
        )

        assert WebCertificates.open(folder).leaf == following.certificate

    def test_certificate_without_purposes(self, folder: Path) -> None:
        """A certificate that names no purpose serves every purpose (RFC 5280)."""
        plain = make("ums.corp", ISSUING, names=["ums.corp"])
        web = new_web(folder)
        web.import_chain(to_pem([plain.certificate]) + ABOVE, key_to_pem(plain.key), names=[], now=NOW)

        assert web.leaf == plain.certificate

    def test_refusals_change_nothing(self, folder: Path) -> None:
        """Each defect has its own refusal, and the old certificate goes on."""
        web = new_web(folder)
        before, chain = contents(folder), web.chain
        expired = make("ums.corp", ISSUING, purposes=[SERVER], end=NOW - DAY / 2)
        young = make("ums.corp", ISSUING, purposes=[SERVER], begin=NOW + DAY)
        phone = make("ums.corp", ISSUING, purposes=[CLIENT])
        weak = make("ums.corp", ISSUING, purposes=[SERVER], key=_short_rsa_key())
        cases: list[tuple[Fault, str, bytes, Pair]] = [
            (Fault.INCOMPLETE, "CN=company root", to_pem([WEB.certificate, ISSUING.certificate]), WEB),
            (Fault.INCOMPLETE, "CN=company issuing", to_pem([WEB.certificate, COMPANY.certificate]), WEB),
            (Fault.MISMATCHED, "private key", COMPANY_CHAIN, phone),
            (Fault.WRONG_USAGE, "a CA certificate", COMPANY_CHAIN, ISSUING),
            (Fault.WRONG_USAGE, "serverAuth", to_pem([phone.certificate]) + ABOVE, phone),
            (Fault.EXPIRED, "expired on", to_pem([expired.certificate]) + ABOVE, expired),
            (Fault.NOT_YET_VALID, "not valid before", to_pem([young.certificate]) + ABOVE, young),
            (Fault.WEAK_KEY, "1024", to_pem([weak.certificate]) + ABOVE, weak),
            (Fault.UNREADABLE, "the chain holds no PEM certificate", b"nothing", WEB),
        ]

        for fault, words, chain_pem, pair in cases:
            with refused(fault, words):
                web.import_chain(chain_pem, key_to_pem(pair.key), names=[], now=NOW)
        with refused(Fault.NAMES_DIFFER, "does not cover 192.0.2.7, ums.lab"):
            web.import_chain(COMPANY_CHAIN, key_to_pem(WEB.key), names=["ums.corp", "192.0.2.7", "ums.lab"], now=NOW)
        with refused(Fault.UNREADABLE, "private key"):
            web.import_chain(COMPANY_CHAIN, b"nothing", names=[], now=NOW)
        assert contents(folder) == before
        assert web.chain == chain

    def test_weak_authority(self, folder: Path) -> None:
        """A chain is as strong as its authorities."""
        old = make("old root", ca=True, key=_short_rsa_key())
        below = make("ums.corp", old, purposes=[SERVER])

        with refused(Fault.WEAK_KEY, "1024"):
            new_web(folder).import_chain(
                to_pem([below.certificate, old.certificate]), key_to_pem(below.key), names=[], now=NOW
            )


class TestPowerCuts:
    """What a change that stops half-way leaves behind: always one of the two states, whole."""

    FILES = ("chain.pem", "web.pem", "root.pem", "root.key")
    """In the order in which an import changes them."""

    @pytest.mark.parametrize("done", range(5))
    def test_interrupted_import(self, folder: Path, done: int) -> None:
        """After any number of steps, `open` finds the old chain or the new one and mends the other files."""
        web = new_web(folder)
        old, old_chain = contents(folder), web.chain
        web.import_chain(COMPANY_CHAIN, key_to_pem(WEB.key), names=[], now=NOW)
        new, new_chain = contents(folder), web.chain
        for step, file in enumerate(self.FILES):
            content = new.get(file) if step < done else old[file]
            (folder / file).unlink(missing_ok=True)
            if content is not None:
                (folder / file).write_bytes(content)

        opened = WebCertificates.open(folder)

        assert opened.chain == (new_chain if done >= 2 else old_chain)
        assert contents(folder)["chain.pem"] == to_pem(opened.chain)
        assert contents(folder)["root.pem"] == to_pem([opened.root])
        if done in {2, 3}:  # the old root's key is still there, but is not mistaken for the new root's
            with refused(Fault.MISMATCHED, "root.key"):
                opened.renew(names=[], now=NOW)

    def test_interrupted_renewal(self, folder: Path) -> None:
        """A chain file that is ahead of the key is taken back to it."""
        web = new_web(folder)
        old = contents(folder)
        web.renew(names=["ums.lab"], now=NOW)
        (folder / "web.pem").write_bytes(old["web.pem"])

        assert to_pem(WebCertificates.open(folder).chain) == old["chain.pem"]
        assert contents(folder) == old


class TestSuccession:
    """A root that is announced beside the current one, and the switch to it."""

    def test_announce(self, folder: Path) -> None:
        """C36: the next chain is there, also after a restart; what is in use has not changed."""
        web = new_web(folder)
        before, chain = contents(folder), web.chain

        announced = web.announce(["ums.lab"], root_key_type=KeyType.P384, web_key_type=KeyType.P256, now=NOW)

        assert web.chain == chain
        assert web.successor is not None
        assert web.successor.root == announced != web.root
        assert covers(web.successor.leaf, "ums.lab")
        opened = WebCertificates.open(folder)
        opened.settle()
        assert opened.successor == web.successor
        assert {**before, **contents(folder)} == contents(folder)
        assert set(contents(folder)) - set(before) == {"next.pem", "next-root.key"}
        assert {file.stat().st_mode & 0o777 for file in folder.iterdir()} == {0o600}

    def test_switch(self, folder: Path) -> None:
        """The next chain is in use, the old one is kept for the record, and the new root renews."""
        web = new_web(folder)
        old = web.chain
        new = web.announce(["ums.lab"], root_key_type=KeyType.P256, web_key_type=KeyType.P256, now=NOW)

        web.switch(NOW)

        assert (web.root, web.successor, web.previous) == (new, None, old)
        assert set(contents(folder)) == {"chain.pem", "previous.pem", "root.key", "root.pem", "web.pem"}
        opened = WebCertificates.open(folder)
        assert (opened.chain, opened.previous) == (web.chain, old)
        server_context(web.identity_file, [])
        opened.renew(names=["ums.lab"], now=NOW)
        assert opened.root == new

    def test_company_chain(self, folder: Path) -> None:
        """C8: the next chain may come from elsewhere; after the switch there is no root key here."""
        web = new_web(folder)
        web.announce_chain(COMPANY_CHAIN, key_to_pem(WEB.key), names=["ums.corp"], now=NOW)
        web.switch(NOW)

        assert web.chain == (WEB.certificate, ISSUING.certificate, COMPANY.certificate)
        assert WebCertificates.open(folder).chain == web.chain
        assert "root.key" not in contents(folder)
        with refused(Fault.EXISTS, "CN=company root", "is the root already", "import-web"):
            web.announce_chain(COMPANY_CHAIN, key_to_pem(WEB.key), names=[], now=NOW)

    def test_cancel(self, folder: Path) -> None:
        """Nothing stays of it, and another root can be announced."""
        web = new_web(folder)
        before = contents(folder)
        announce(web)
        web.cancel()

        assert contents(folder) == before
        assert WebCertificates.open(folder).successor is None
        announce(web)

    def test_refusals(self, folder: Path) -> None:
        """One at a time; nothing to switch to or to cancel; not when the next chain is over or to come."""
        web = new_web(folder)

        for change in (web.cancel, lambda: web.switch(NOW)):
            with refused(Fault.INCOMPLETE, "no new web root is announced", "announce one first"):
                change()
        announce(web)
        with refused(Fault.EXISTS, "is announced already", "cancel"):
            announce(web)
        with refused(Fault.EXPIRED):
            web.switch(NOW + 400 * DAY)
        with refused(Fault.NOT_YET_VALID):
            web.switch(NOW - DAY)
        assert web.successor is not None
        with refused(Fault.NAMES_DIFFER, "other.corp"):
            new_web(folder / "second").announce_chain(COMPANY_CHAIN, key_to_pem(WEB.key), names=["other.corp"], now=NOW)

    def test_renewal_and_import_meanwhile(self, folder: Path) -> None:
        """The current certificate can be renewed or replaced while another root is announced."""
        web = new_web(folder)
        announce(web)
        web.renew(names=["ums.lab"], now=NOW)
        web.import_chain(COMPANY_CHAIN, key_to_pem(WEB.key), names=[], now=NOW)
        opened = WebCertificates.open(folder)
        opened.switch(NOW)

        assert opened.previous == web.chain
        opened.renew(names=["ums.lab"], now=NOW)

    def test_damaged_announcement(self, folder: Path) -> None:
        """A damaged file is named, not forgotten: devices wait for that root."""
        announce(new_web(folder))
        (folder / "next.pem").write_bytes(b"damaged")

        with refused(Fault.UNREADABLE, str(folder / "next.pem")):
            WebCertificates.open(folder)


def announce(web: WebCertificates) -> None:
    """Announce a root of the quick kind."""
    web.announce(["ums.lab"], root_key_type=KeyType.P256, web_key_type=KeyType.P256, now=NOW)


def announce_company(web: WebCertificates) -> None:
    """Announce a chain from elsewhere."""
    web.announce_chain(COMPANY_CHAIN, key_to_pem(WEB.key), names=[], now=NOW)


CHANGES: dict[str, tuple[Callable[[WebCertificates], None] | None, Callable[[WebCertificates], None]]] = {
    "announce": (None, announce),
    "announce a company chain": (None, announce_company),
    "switch": (announce, lambda web: web.switch(NOW)),
    "switch to a company chain": (announce_company, lambda web: web.switch(NOW)),
    "cancel": (announce, WebCertificates.cancel),
    "cancel a company chain": (announce_company, WebCertificates.cancel),
}


@pytest.mark.parametrize("name", CHANGES)
def test_succession_cut_after_every_step(tmp_path: Path, name: str) -> None:
    """Wherever the power fails: before or after the change, never between, and everything works from there."""
    before, change = CHANGES[name]

    def prepared(folder: Path) -> WebCertificates:
        web = new_web(folder)
        if before is not None:
            before(web)
        return web

    whole = prepared(tmp_path / "whole")
    steps = steps_of(lambda: change(whole))
    seen = []
    for cut in range(steps + 1):
        folder = tmp_path / str(cut)
        web = prepared(folder)
        old = (web.root, web.successor)
        with power_fails_after(cut):
            change(web)
        opened = WebCertificates.open(folder)
        opened.settle()
        state = "old" if (opened.root, opened.successor) == old else "new"
        seen.append(state)
        if state == "new":
            assert (opened.successor is not None) == name.startswith("announce")
        assert WebCertificates.open(folder).chain == opened.chain
        server_context(opened.identity_file, [])
        if opened.successor is None:
            announce(opened)
        opened.switch(NOW)
        if "company" not in name:
            opened.renew(names=["ums.lab"], now=NOW)
        assert not {"next.pem", "next-root.key"} & set(contents(folder))

    assert seen == sorted(seen, reverse=True)
    assert {"old", "new"} == set(seen)


def _short_rsa_key() -> PrivateKey:
    return key_from_pem(openssl_bytes("genrsa", "1024"))
