# SPDX-License-Identifier: Apache-2.0
"""strongSwan's `pki`: TLS 1.3, HTTP, PKCS#7 and EST that share no line with OpenSSL, curl or Python.

It appends /.well-known/est to the URL's path, so it can be pointed at the IGEL path. Its traps: TLS 1.3 must be allowed
in its configuration, and this version reads base64 in one line only, which is our default.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from . import openssl
from .openssl import Identity, fresh_unit_id
from .strangers import Finished, missing, need, run
from .ums import MASS_KEY

if TYPE_CHECKING:
    from .ums import Ums

PLUGINS = Path("/usr/lib/ipsec/plugins")


@pytest.fixture(scope="module")
def configuration(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The file that lets `pki` speak TLS 1.3."""
    need("pki", "openssl")
    for plugin in ("curl", "openssl"):
        if not (PLUGINS / f"libstrongswan-{plugin}.so").exists():
            missing(f"strongSwan's {plugin} plugin is not installed")
    file = tmp_path_factory.mktemp("strongswan") / "strongswan.conf"
    file.write_text("libtls {\n  version_max = 1.3\n}\n")
    return file


class Pki:
    """The `pki` command, pointed at a server."""

    def __init__(self, configuration: Path, ums: Ums) -> None:
        self._environment = {"STRONGSWAN_CONF": str(configuration)}
        self._where = ("--url", ums.url("/device-connector/device"), "--cacert", ums.root)

    def __call__(self, command: str, *options: str | Path, check: bool = True) -> Finished:
        """Run one command at the server."""
        return run("pki", f"--{command}", *self._where, *options, env=self._environment, check=check)


@pytest.fixture
def pki(configuration: Path, ums: Ums) -> Pki:
    """`pki` at the shared server."""
    return Pki(configuration, ums)


def enrol(pki: Pki, folder: Path, unit_id: str) -> Identity:
    """Enrol with the mass key."""
    key, asked = openssl.new_key(folder / "first.key"), folder / "first.der"
    asked.write_bytes(openssl.request(key, f"/CN={unit_id}"))
    got = pki("est", "--in", asked, "--userpass", f"any:{MASS_KEY}", "--outform", "pem")
    certificate = folder / "first.pem"
    certificate.write_bytes(got.stdout)
    return Identity(key, certificate)


def test_fetches_the_ca_certificates(pki: Pki, ums: Ums, tmp_path: Path) -> None:
    """`pki --estca` finds the web root, trusts it because TLS did, and finds the client CA."""
    got = pki("estca", "--caout", tmp_path / "ca", "--outform", "pem")

    found = {file.read_text() for file in tmp_path.glob("ca*.pem")}
    assert len(found) == 2
    assert ums.root.read_text() in found
    assert "Root CA equals trusted TLS Root CA" in got.err


def test_enrols(pki: Pki, tmp_path: Path) -> None:
    """`pki --est` enrols with the first-authentication key as its Basic password."""
    unit_id = fresh_unit_id()

    issued = enrol(pki, tmp_path, unit_id)

    assert openssl.show(issued.certificate, "-pubkey") == openssl.public_key_of(issued.key)
    assert openssl.common_name(issued.certificate) == unit_id


def test_trusts_what_was_issued(pki: Pki, ums: Ums, tmp_path: Path) -> None:
    """With the client CA at hand strongSwan verifies the certificate it was given."""
    key, asked = openssl.new_key(tmp_path / "k.key"), tmp_path / "k.der"
    asked.write_bytes(openssl.request(key, f"/CN={fresh_unit_id()}"))
    pki("estca", "--caout", tmp_path / "ca", "--outform", "pem")
    (client_ca,) = (file for file in tmp_path.glob("ca*.pem") if file.read_text() != ums.root.read_text())

    got = pki("est", "--in", asked, "--userpass", f"any:{MASS_KEY}", "--cacert", client_ca)

    assert "Issued certificate is trusted" in got.err


def test_enrols_again_over_its_certificate(pki: Pki, tmp_path: Path) -> None:
    """`pki --est` with the old certificate becomes simplereenroll, and needs no key."""
    unit_id = fresh_unit_id()
    old = enrol(pki, tmp_path, unit_id)
    key, asked, renewed = openssl.new_key(tmp_path / "new.key"), tmp_path / "new.der", tmp_path / "new.pem"
    asked.write_bytes(openssl.request(key, f"/CN={unit_id}"))

    got = pki("est", "--in", asked, "--cert", old.certificate, "--key", old.key, "--outform", "pem")

    renewed.write_bytes(got.stdout)
    assert openssl.show(renewed, "-pubkey") == openssl.public_key_of(key)
    assert openssl.show(renewed, "-serial") != openssl.show(old.certificate, "-serial")


def test_enrols_again_with_the_subject_of_its_certificate(pki: Pki, tmp_path: Path) -> None:
    """RFC 7030 section 4.2.2 to the letter: the request repeats the whole subject of the certificate."""
    unit_id = fresh_unit_id()
    old = enrol(pki, tmp_path, unit_id)
    subject = openssl.show(old.certificate, "-subject", "-nameopt", "compat").strip().partition("=")[2]
    asked = tmp_path / "same.der"
    asked.write_bytes(openssl.request(old.key, subject))

    got = pki("est", "--in", asked, "--cert", old.certificate, "--key", old.key)

    assert got.stdout


def test_is_told_that_the_key_is_wrong(pki: Pki, tmp_path: Path) -> None:
    """A refusal reaches strongSwan as HTTP 401."""
    key, asked = openssl.new_key(tmp_path / "k.key"), tmp_path / "k.der"
    asked.write_bytes(openssl.request(key, f"/CN={fresh_unit_id()}"))

    got = pki("est", "--in", asked, "--userpass", "any:wrong", check=False)

    assert got.code != 0
    assert "401" in got.err
