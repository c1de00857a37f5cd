# SPDX-License-Identifier: Apache-2.0
"""Tests of umslab_certs.imported; every refusal is tried in test_store.py and test_client_authority.py."""

from __future__ import annotations

from hypothesis import given

from umslab_certs.chain import to_pem
from umslab_certs.errors import Fault
from umslab_certs.imported import read_authority, read_server_chain
from umslab_certs.keys import key_to_pem

from .pki import NOW, SERVER, broken, fuzzed, make, refusal_of, refused

ROOT = make("company root", ca=True)
LEAF = make("ums.corp", ROOT, names=["ums.corp"], purposes=[SERVER])
CHAIN = to_pem([ROOT.certificate, LEAF.certificate])


def test_server_chain() -> None:
    """Key and path, in whatever order the chain came."""
    key, path = read_server_chain(CHAIN, key_to_pem(LEAF.key), names=["ums.corp"], now=NOW)

    assert key.public_key() == LEAF.key.public_key()
    assert path.chain == (LEAF.certificate, ROOT.certificate)
    with refused(Fault.NAMES_DIFFER, "does not cover localhost, 192.0.2.1"):
        read_server_chain(CHAIN, key_to_pem(LEAF.key), names=["localhost", "ums.corp", "192.0.2.1"], now=NOW)


def test_authority() -> None:
    """One that may issue; a server certificate may not."""
    assert read_authority(CHAIN, key_to_pem(ROOT.key), now=NOW).chain == (ROOT.certificate,)
    with refused(Fault.NOT_A_CA):
        read_authority(CHAIN, key_to_pem(LEAF.key), now=NOW)


@given(broken(CHAIN))
@fuzzed
def test_broken_chains(data: bytes) -> None:
    """Whatever is handed in: a chain or a refusal."""
    refusal_of(lambda chain: read_server_chain(chain, key_to_pem(LEAF.key), names=[], now=NOW), data)
    refusal_of(lambda chain: read_authority(chain, key_to_pem(ROOT.key), now=NOW), data)


@given(broken(b"-----BEGIN X-----"))
@fuzzed
def test_broken_keys(data: bytes) -> None:
    """The same for keys."""
    assert refusal_of(lambda key: read_server_chain(CHAIN, key, names=[], now=NOW), data) is not None
