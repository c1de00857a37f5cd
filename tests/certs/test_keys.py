# SPDX-License-Identifier: Apache-2.0
"""Tests of umslab_certs.keys."""

from __future__ import annotations

import hashlib

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from hypothesis import given

from umslab_certs.errors import Fault
from umslab_certs.keys import (
    LARGEST_CA_RSA_BITS,
    KeyType,
    PrivateKey,
    check_strength,
    generate_key,
    key_from_pem,
    key_to_pem,
    key_type,
    signature_hash,
    spki_digest,
)

from .pki import broken, fuzzed, openssl, openssl_bytes, refusal_of, refused

GOOD_PEM = key_to_pem(generate_key(KeyType.P256))


def rsa_public_key(bits: int, exponent: int = 65537) -> rsa.RSAPublicKey:
    """An RSA public key that nobody has the private half of."""
    return rsa.RSAPublicNumbers(exponent, (1 << bits) - 1).public_key()


@pytest.mark.parametrize(
    ("kind", "openssl_name", "hash_name"),
    [
        (KeyType.P256, "prime256v1", "sha256"),
        (KeyType.P384, "secp384r1", "sha384"),
        (KeyType.P521, "secp521r1", "sha512"),
    ],
)
def test_curves(kind: KeyType, openssl_name: str, hash_name: str) -> None:
    """Each curve is the one OpenSSL knows by its name, and signs with the hash of its length."""
    key = generate_key(kind)

    assert openssl_name in openssl("pkey", "-noout", "-text", given=key_to_pem(key))
    assert signature_hash(key).name == hash_name
    assert key_type(check_strength(key.public_key())) == kind


def test_rsa(rsa_key: PrivateKey) -> None:
    """RSA keys have the usual exponent and sign with SHA-512 (C1)."""
    text = openssl("pkey", "-noout", "-text", given=key_to_pem(rsa_key))

    assert "4096 bit" in text
    assert "65537" in text
    assert signature_hash(rsa_key).name == "sha512"
    assert key_type(check_strength(rsa_key.public_key())) == KeyType.RSA4096
    assert key_type(check_strength(generate_key(KeyType.RSA2048).public_key())) == KeyType.RSA2048


def test_pem_round_trip() -> None:
    """A key that is written is PKCS#8 and reads back as itself."""
    key = key_from_pem(GOOD_PEM)

    assert GOOD_PEM.startswith(b"-----BEGIN PRIVATE KEY-----\n")
    assert key_to_pem(key) == GOOD_PEM


@pytest.mark.parametrize(
    "arguments",
    [
        ("ecparam", "-name", "prime256v1", "-genkey"),
        ("genpkey", "-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-384"),
        ("genrsa", "-traditional", "2048"),
    ],
)
def test_reads_what_openssl_writes(arguments: tuple[str, ...]) -> None:
    """SEC 1 with its parameters block, PKCS#8 and PKCS#1 are all read, with text around."""
    pem = openssl_bytes(*arguments)

    key = key_from_pem(b"some text\n" + pem + b"more")

    assert openssl("pkey", "-pubout", given=key_to_pem(key)) == openssl("pkey", "-pubout", given=pem)


def test_encrypted_key_is_refused_with_a_hint() -> None:
    """An encrypted key is told from a broken one."""
    key = key_from_pem(GOOD_PEM)
    encryption = serialization.BestAvailableEncryption(b"secret")
    pem = key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, encryption)

    with refused(Fault.UNREADABLE, "my.key is encrypted", "openssl pkey"):
        key_from_pem(pem, what="my.key")


def test_other_kinds_of_key_are_refused() -> None:
    """Ed25519 is a fine key, but not one that is spoken here."""
    key = ed25519.Ed25519PrivateKey.generate()
    pem = key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())

    with refused(Fault.WEAK_KEY, "private key is neither an RSA nor an EC key"):
        key_from_pem(pem)
    with refused(Fault.WEAK_KEY, "neither"):
        check_strength(key.public_key())


@fuzzed
@given(broken(GOOD_PEM))
def test_broken_keys(data: bytes) -> None:
    """No bytes make the reader raise anything else, and no refusal repeats what it read."""
    refusal = refusal_of(key_from_pem, data)

    assert refusal is None or str(refusal) in {
        "private key is not a readable private key in PEM",
        "private key is neither an RSA nor an EC key",
        "private key is encrypted; decrypt it first, for example with: openssl pkey -in KEY -out PLAIN",
    }


@pytest.mark.parametrize("bits", [1024, 2047, 4097])
def test_rsa_sizes(bits: int) -> None:
    """Too short is weak, too long is a burden for whoever verifies."""
    with refused(Fault.WEAK_KEY, f"{bits} bits", "2048 to 4096"):
        check_strength(rsa_public_key(bits))


def test_authorities_may_be_longer() -> None:
    """The vendor's tool makes roots of up to 16k (C3)."""
    check_strength(rsa_public_key(16384), LARGEST_CA_RSA_BITS)

    with refused(Fault.WEAK_KEY):
        check_strength(rsa_public_key(16385), LARGEST_CA_RSA_BITS)


@pytest.mark.parametrize("exponent", [3, 17, 2**256 + 1])
def test_rsa_exponents(exponent: int) -> None:
    """Small exponents are weak, huge ones make verifying as dear as signing."""
    with refused(Fault.WEAK_KEY, "exponent"):
        check_strength(rsa_public_key(2048, exponent))


def test_other_curves_are_refused() -> None:
    """A curve nobody here uses is named in the refusal."""
    with refused(Fault.WEAK_KEY, "secp256k1"):
        check_strength(ec.generate_private_key(ec.SECP256K1()).public_key())


def test_unusual_size_has_no_kind() -> None:
    """A key that is strong enough may still be none that umslab makes."""
    with refused(Fault.WEAK_KEY, "2560-bit"):
        key_type(rsa_public_key(2560))
    with refused(Fault.WEAK_KEY):
        key_type(ec.generate_private_key(ec.SECP256K1()).public_key())


def test_spki_digest_is_what_openssl_computes() -> None:
    """The name of a key pair is the SHA-256 of `openssl pkey -pubout -outform DER`."""
    der = openssl_bytes("pkey", "-pubout", "-outform", "DER", given=GOOD_PEM)

    assert spki_digest(key_from_pem(GOOD_PEM).public_key()) == hashlib.sha256(der).hexdigest()
