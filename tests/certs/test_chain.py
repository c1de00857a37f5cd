# SPDX-License-Identifier: Apache-2.0
"""Tests of umslab_certs.chain."""

from __future__ import annotations

import hashlib
from datetime import timedelta
from typing import TYPE_CHECKING

import pytest
from cryptography import x509
from hypothesis import given

from umslab_certs import der
from umslab_certs.authority import Authority
from umslab_certs.chain import (
    MAX_DEPTH,
    TrustPath,
    build_path,
    certificate_for,
    check_ca,
    check_time,
    fingerprint,
    load_pem_certificates,
    names_as_issuer,
    parse_certificate,
    subject_of,
    to_pem,
)
from umslab_certs.errors import Fault
from umslab_certs.keys import KeyType, generate_key, key_to_pem

from .pki import DAY, NOW, Pair, broken, der_of, fuzzed, make, openssl, openssl_bytes, refusal_of, refused

if TYPE_CHECKING:
    from pathlib import Path

    from umslab_certs.csr import EnrolmentRequest

ROOT = make("root", ca=True, sign_usage=True)
MIDDLE = make("middle", ROOT, ca=True, sign_usage=True)
LEAF = make("leaf", MIDDLE, names=["leaf"])
BAG = [MIDDLE.certificate, ROOT.certificate]


class TestPem:
    """Certificates in PEM."""

    def test_round_trip_with_text_between(self) -> None:
        """Text, keys and line endings between and around the blocks do not matter."""
        text = (
            b"the root\n" + to_pem([ROOT.certificate]) + key_to_pem(ROOT.key) + b"\xfc\n" + to_pem([LEAF.certificate])
        )

        assert load_pem_certificates(text, "it") == [ROOT.certificate, LEAF.certificate]
        assert load_pem_certificates(text.replace(b"\n", b"\r\n"), "it") == [ROOT.certificate, LEAF.certificate]

    @pytest.mark.parametrize("data", [b"", b"hello", key_to_pem(ROOT.key)])
    def test_nothing_there(self, data: bytes) -> None:
        """A text without a certificate is told from a broken one."""
        with refused(Fault.UNREADABLE, "chain.crt holds no PEM certificate"):
            load_pem_certificates(data, "chain.crt")

    def test_cut_off(self) -> None:
        """A file that ends early is refused, not shortened (cryptography would skip the last block)."""
        with refused(Fault.UNREADABLE, "cut off"):
            load_pem_certificates(to_pem(BAG)[:-40], "it")

    def test_not_a_certificate_inside(self) -> None:
        """PEM that holds something else is refused."""
        with refused(Fault.UNREADABLE, "it cannot be read"):
            load_pem_certificates(b"-----BEGIN CERTIFICATE-----\nMAA=\n-----END CERTIFICATE-----\n", "it")

    def test_limit(self) -> None:
        """32 certificates are read, 33 are not."""
        assert len(load_pem_certificates(to_pem([ROOT.certificate]) * 32, "it")) == 32
        with refused(Fault.TOO_LARGE, "32"):
            load_pem_certificates(to_pem([ROOT.certificate]) * 33, "it")

    @fuzzed
    @given(broken(to_pem(BAG)))
    def test_foreign_text(self, data: bytes) -> None:
        """Whatever the text, the only exception is ours."""
        refusal_of(lambda text: load_pem_certificates(text, "it"), data)

    @fuzzed
    @given(broken(der_of(LEAF.certificate)))
    def test_foreign_der(self, data: bytes) -> None:
        """Whatever the bytes, the only exception is ours, also when the certificate is used."""

        def use(data: bytes) -> None:
            certificate = parse_certificate(data)
            subject_of(certificate)
            fingerprint(certificate)
            build_path(certificate, BAG, now=NOW)

        refusal_of(use, data)

    def test_damaged_extension_is_found_at_once(self) -> None:
        """The parts that cryptography decodes late are decoded early."""
        good = der_of(LEAF.certificate)
        names = der.encode(der.SEQUENCE, der.encode(0x82, b"leaf"))
        damaged = good.replace(names, names[:2] + b"\x83" + names[3:])

        x509.load_der_x509_certificate(damaged)
        with refused(Fault.UNREADABLE, "the certificate cannot be read"):
            parse_certificate(damaged)


class TestFacts:
    """Single certificates."""

    def test_fingerprint_is_what_openssl_prints(self) -> None:
        """C20: SHA-256 over the DER certificate."""
        printed = openssl("x509", "-noout", "-fingerprint", "-sha256", given=to_pem([ROOT.certificate]))

        assert fingerprint(ROOT.certificate).digits == printed.strip().partition("=")[2].replace(":", "")
        assert fingerprint(ROOT.certificate).digits == hashlib.sha256(der_of(ROOT.certificate)).hexdigest().upper()

    def test_time_has_inclusive_ends(self) -> None:
        """A certificate is valid in its first and in its last second."""
        certificate = make("leaf", begin=NOW, end=NOW + DAY).certificate
        second = timedelta(seconds=1)

        check_time(certificate, NOW)
        check_time(certificate, NOW + DAY)
        with refused(Fault.NOT_YET_VALID, "2026-03-01 12:00:00 UTC", "11:59:59", "clocks"):
            check_time(certificate, NOW - second)
        with refused(Fault.EXPIRED, "2026-03-02 12:00:00 UTC", "12:00:01"):
            check_time(certificate, NOW + DAY + second)

    def test_names_in_messages_are_harmless(self) -> None:
        """A subject with control characters arrives quoted and shortened."""
        text = subject_of(make("\x1b[2J" + "x" * 60).certificate)

        assert "\x1b" not in text
        assert "\\x1b[2J" in text

    def test_certificate_for_a_key(self) -> None:
        """The certificate of a key is found among others, or said to be missing."""
        assert certificate_for(MIDDLE.key, [LEAF.certificate, *BAG]) == MIDDLE.certificate
        with refused(Fault.MISMATCHED, "does not match any"):
            certificate_for(LEAF.key, BAG)


class TestPath:
    """The way to the root."""

    def test_finds_the_way_in_any_order(self) -> None:
        """C13: the order of the bag does not matter, nor do strangers, doubles and the leaf itself in it."""
        stranger = make("stranger", ca=True).certificate
        bag = [ROOT.certificate, stranger, LEAF.certificate, ROOT.certificate, MIDDLE.certificate]
        path = build_path(LEAF.certificate, bag, now=NOW)

        assert path == TrustPath(LEAF.certificate, (MIDDLE.certificate,), ROOT.certificate)
        assert path.presented == (LEAF.certificate, MIDDLE.certificate)
        assert path.chain == (LEAF.certificate, MIDDLE.certificate, ROOT.certificate)

    def test_openssl_agrees(self, tmp_path: Path) -> None:
        """`openssl verify` takes the same chain."""
        for file, pair in (("root", ROOT), ("middle", MIDDLE), ("leaf", LEAF)):
            (tmp_path / file).write_bytes(to_pem([pair.certificate]))
        arguments = ["-attime", str(int(NOW.timestamp())), "-CAfile", str(tmp_path / "root")]

        assert "OK" in openssl("verify", *arguments, "-untrusted", str(tmp_path / "middle"), str(tmp_path / "leaf"))

    def test_root_alone(self) -> None:
        """A root is a path by itself, of one certificate."""
        path = build_path(ROOT.certificate, [ROOT.certificate])

        assert path == TrustPath(ROOT.certificate, (), ROOT.certificate)
        assert path.chain == (ROOT.certificate,)

    def test_missing_issuer_is_named(self) -> None:
        """An incomplete chain says which certificate to look for."""
        with refused(Fault.INCOMPLETE, "CN=middle", "is missing"):
            build_path(LEAF.certificate, [ROOT.certificate])
        with refused(Fault.INCOMPLETE, "CN=root", "is missing"):
            build_path(LEAF.certificate, [MIDDLE.certificate])

    def test_right_name_wrong_key(self) -> None:
        """A namesake of the issuer did not sign."""
        namesake = make("middle", ROOT, ca=True)

        with refused(Fault.BAD_SIGNATURE, "CN=middle", "CN=leaf"):
            build_path(LEAF.certificate, [namesake.certificate, ROOT.certificate])

    def test_namesake_beside_the_issuer(self) -> None:
        """With the namesake and the issuer in the bag, the issuer is found."""
        namesake = make("middle", ROOT, ca=True)

        assert build_path(LEAF.certificate, [namesake.certificate, *BAG]).intermediates == (MIDDLE.certificate,)

    def test_root_with_a_broken_signature(self) -> None:
        """A root that did not sign itself is no root."""
        with refused(Fault.BAD_SIGNATURE, "CN=root"):
            build_path(LEAF.certificate, [MIDDLE.certificate, _resigned_root()])

    def test_issuer_that_is_no_authority(self) -> None:
        """A server certificate cannot issue, nor one without basicConstraints, nor one without keyCertSign."""
        for odd in ({"ca": False}, {"ca": None}, {"ca": True, "sign_usage": False}):
            issuer = make("issuer", ROOT, **odd)
            below = make("below", issuer)
            with refused(Fault.NOT_A_CA, "CN=issuer"):
                build_path(below.certificate, [issuer.certificate, ROOT.certificate])

    def test_self_signed_leaf(self) -> None:
        """A self-signed server certificate is not its own authority."""
        with refused(Fault.NOT_A_CA, "CN=alone"):
            build_path(make("alone").certificate, [])

    def test_path_length(self) -> None:
        """A root with path length 0 allows leaves, not authorities with leaves."""
        short = make("short", ca=True, path_length=0)
        direct = make("direct", short)
        middle = make("between", short, ca=True)
        deep = make("deep", middle)

        assert build_path(direct.certificate, [short.certificate]).root == short.certificate
        with refused(Fault.NOT_A_CA, "CN=short", "allows 0 authorities below it, not 1"):
            build_path(deep.certificate, [middle.certificate, short.certificate])
        check_ca(short.certificate, below=0)

    def test_times_on_the_way(self) -> None:
        """Every certificate of the path must be valid, unless no time is given."""
        old = make("old", ROOT, ca=True, end=NOW - timedelta(hours=1))
        young = make("young", ROOT, ca=True, begin=NOW + DAY)
        below_old, below_young = make("a", old), make("b", young)

        with refused(Fault.EXPIRED, "CN=old"):
            build_path(below_old.certificate, [old.certificate, ROOT.certificate], now=NOW)
        with refused(Fault.NOT_YET_VALID, "CN=young"):
            build_path(below_young.certificate, [young.certificate, ROOT.certificate], now=NOW)
        with refused(Fault.EXPIRED, "CN=leaf"):
            build_path(LEAF.certificate, BAG, now=NOW + 3650 * DAY)
        build_path(below_old.certificate, [old.certificate, ROOT.certificate])

    def test_expired_cross_certificate_is_walked_around(self) -> None:
        """An authority that renewed its certificate with the same key is found in its valid form."""
        expired = make("middle", ROOT, ca=True, key=MIDDLE.key, end=NOW - timedelta(hours=1))

        assert build_path(LEAF.certificate, [expired.certificate, *BAG], now=NOW).intermediates == (MIDDLE.certificate,)

    def test_cross_signed_dead_end(self) -> None:
        """When one of two certificates of an authority leads nowhere, the other is used, in either order."""
        elsewhere = make("elsewhere", ca=True)
        cross = make("root", elsewhere, ca=True, key=ROOT.key)

        assert build_path(LEAF.certificate, [cross.certificate, *BAG]).root == ROOT.certificate
        assert build_path(LEAF.certificate, [*BAG, cross.certificate]).root == ROOT.certificate

    def test_mutual_signatures_end(self) -> None:
        """Two authorities that signed each other lead nowhere, and the search ends."""
        a, b = generate_key(KeyType.P256), generate_key(KeyType.P256)
        a_by_b = make("a", Pair(make("b", key=b).certificate, b), ca=True, key=a)
        b_by_a = make("b", Pair(make("a", key=a).certificate, a), ca=True, key=b)
        leaf = make("leaf", a_by_b)

        with refused(Fault.INCOMPLETE):
            build_path(leaf.certificate, [a_by_b.certificate, b_by_a.certificate])

    def test_many_cross_signatures_are_cheap(self) -> None:
        """Twenty certificates for each of six authorities: the 64 million ways to a missing root are not all walked."""
        keys = [generate_key(KeyType.P256) for _ in range(7)]
        bag: list[x509.Certificate] = []
        for level in range(6):
            above = make(str(level + 1), key=keys[level + 1])
            bag += [make(str(level), above, ca=True, key=keys[level]).certificate for _ in range(20)]

        with refused(Fault.INCOMPLETE, "CN=6", "is missing"):
            build_path(make("leaf", Pair(bag[0], keys[0])).certificate, bag)

    def test_depth(self) -> None:
        """Eight certificates in a row are a path, nine are not."""
        line = [make("0", ca=True)]
        for step in range(1, MAX_DEPTH + 1):
            line.append(make(str(step), line[-1], ca=True))
        bag = [pair.certificate for pair in line]

        assert len(build_path(line[MAX_DEPTH - 1].certificate, bag).chain) == MAX_DEPTH
        with refused(Fault.INCOMPLETE, "no root within 8 certificates"):
            build_path(line[MAX_DEPTH].certificate, bag)

    def test_sha1_is_too_weak_below_the_root(self, tmp_path: Path) -> None:
        """A signature with SHA-1 is named as such; cryptography would only say that it is unsupported."""
        weak = _sha1_root(tmp_path)

        assert build_path(weak, []).root == weak
        assert build_path(LEAF.certificate, [MIDDLE.certificate, weak]).root == weak
        with refused(Fault.WEAK_SIGNATURE, "CN=below", "sha1"):
            build_path(_sha1_below(tmp_path), [ROOT.certificate])


def _resigned_root() -> x509.Certificate:
    """The root's certificate with another signature of the right form on it."""
    stranger = Pair(ROOT.certificate, generate_key(KeyType.P256))
    return make("root", stranger, ca=True, key=ROOT.key).certificate


def _sha1_root(tmp_path: Path) -> x509.Certificate:
    """A root that signed itself with SHA-1, as many public roots did; cryptography no longer makes such."""
    file = tmp_path / "root.key"
    file.write_bytes(key_to_pem(ROOT.key))
    arguments = ["-x509", "-new", "-sha1", "-key", str(file), "-subj", "/CN=root", "-outform", "DER"]
    return parse_certificate(openssl_bytes("req", *arguments, "-addext", "basicConstraints=critical,CA:TRUE"))


def _sha1_below(tmp_path: Path) -> x509.Certificate:
    """A certificate that ROOT signed with SHA-1."""
    key, issuer, request = tmp_path / "ca.key", tmp_path / "ca.pem", tmp_path / "below.csr"
    key.write_bytes(key_to_pem(ROOT.key))
    issuer.write_bytes(to_pem([ROOT.certificate]))
    request.write_bytes(openssl_bytes("req", "-new", "-key", str(key), "-subj", "/CN=below"))
    signing = ["-req", "-in", str(request), "-CA", str(issuer), "-CAkey", str(key), "-sha1", "-set_serial", "7"]
    return parse_certificate(openssl_bytes("x509", *signing, "-outform", "DER"))


class TestNamesAsIssuer:
    """Who a certificate says that made it."""

    def test_own_certificates(self, root: Authority, request_of_device: EnrolmentRequest) -> None:
        """The key decides between two authorities of one name."""
        twin = make("twin", ca=True)
        other = make("twin", ca=True)
        issued = root.issue_device(request_of_device, now=NOW)
        below_twin = Authority(twin.certificate, twin.key, (twin.certificate,)).issue_device(request_of_device, now=NOW)

        assert names_as_issuer(issued, root.certificate)
        assert not names_as_issuer(issued, twin.certificate)
        assert names_as_issuer(below_twin, twin.certificate)
        assert not names_as_issuer(below_twin, other.certificate)

    def test_without_key_identifier(self) -> None:
        """Then the name is all there is."""
        assert names_as_issuer(LEAF.certificate, MIDDLE.certificate)
