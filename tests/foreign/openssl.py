# SPDX-License-Identifier: Apache-2.0
"""Keys, requests, certificates and PKCS#7 by the openssl command: no certificate code of umslab is involved."""

from __future__ import annotations

import itertools
import re
import threading
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from .strangers import Finished, run

if TYPE_CHECKING:
    from pathlib import Path

CLIENT = "basicConstraints=critical,CA:false\nkeyUsage=critical,digitalSignature\nextendedKeyUsage=clientAuth\n"
SERVER = (
    "basicConstraints=critical,CA:false\nkeyUsage=critical,digitalSignature\nextendedKeyUsage=serverAuth\n"
    "subjectAltName=DNS:localhost,IP:127.0.0.1\n"
)
AUTHORITY = "basicConstraints=critical,CA:true\nkeyUsage=critical,keyCertSign,cRLSign\nsubjectKeyIdentifier=hash\n"

_PEM = re.compile(r"-----BEGIN CERTIFICATE-----.*?-----END CERTIFICATE-----\n", re.DOTALL)
_numbers = itertools.count(1)


@dataclass(frozen=True)
class Identity:
    """A key and its certificate, in PEM files."""

    key: Path
    certificate: Path


def fresh_unit_id() -> str:
    """A unit ID that no other test uses: locally administered, so that no real device can have it."""
    return f"02F0{next(_numbers):08X}"


def new_key(path: Path) -> Path:
    """Make a P-256 key."""
    run("openssl", "genpkey", "-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256", "-out", path)
    return path


def request(key: Path, subject: str, *extensions: str) -> bytes:
    """Make a certificate request in DER."""
    options = [word for extension in extensions for word in ("-addext", extension)]
    return run("openssl", "req", "-new", "-key", key, "-subj", subject, *options, "-outform", "DER").stdout


def public_key_of(key: Path) -> str:
    """The public half of a private key."""
    return run("openssl", "pkey", "-in", key, "-pubout").out


def show(certificate: Path, *what: str) -> str:
    """What `openssl x509` says of a certificate."""
    return run("openssl", "x509", "-in", certificate, "-noout", *what).out


def common_name(certificate: Path) -> str:
    """The common name in a certificate's subject."""
    found = re.search(r"\bCN=([^,\n]+)", show(certificate, "-subject", "-nameopt", "RFC2253"))
    return found.group(1) if found else ""


def communication_token(root: Path) -> str:
    """The third part of a root's SHA-256 fingerprint (fact C21), computed without umslab."""
    digits = show(root, "-fingerprint", "-sha256").partition("=")[2].strip().replace(":", "")
    return digits[32:48]


def split_pem(text: str) -> list[str]:
    """The certificates in a PEM text."""
    return _PEM.findall(text)


def read_pkcs7(der: bytes) -> list[str]:
    """The certificates in a PKCS#7, each in PEM."""
    return split_pem(run("openssl", "pkcs7", "-inform", "DER", "-print_certs", stdin=der).out)


def write_pkcs7(certificates: Path) -> bytes:
    """A certs-only PKCS#7 of everything in a PEM file, in DER."""
    return run("openssl", "crl2pkcs7", "-nocrl", "-certfile", certificates, "-outform", "DER").stdout


def s_client(address: str, *options: str | Path, send: str = "") -> Finished:
    """Speak TLS by hand; the exit code and what it prints are the result."""
    return run("openssl", "s_client", "-connect", address, "-ign_eof", *options, stdin=send.encode(), check=False)


class Authority:
    """A certificate authority of `openssl ca`, in a folder of its own."""

    def __init__(self, folder: Path, name: str, *, issuer: Authority | None = None) -> None:
        folder.mkdir(parents=True)
        self._folder = folder
        self._lock = threading.Lock()
        self.key = new_key(folder / "ca.key")
        self.certificate = folder / "ca.pem"
        (folder / "index.txt").touch()
        (folder / "ca.cnf").write_text(_CONFIG.format(folder=folder))
        signing = request(self.key, f"/O=foreign test/CN={name}")
        if issuer is None:
            dates = (-timedelta(days=1), timedelta(days=30))
            self._ca(signing, AUTHORITY, self.certificate, dates, self_signed=True)
        else:
            self.certificate.write_text(issuer.sign(signing, AUTHORITY))

    def sign(
        self,
        der: bytes,
        extensions: str,
        *,
        start: timedelta = -timedelta(minutes=5),
        end: timedelta = timedelta(days=1),
    ) -> str:
        """Sign a request; start and end are relative to now. Returns PEM."""
        with self._lock:
            made = self._folder / "made.pem"
            self._ca(der, extensions, made, (start, end))
            return made.read_text()

    def issue(
        self,
        name: str,
        extensions: str,
        *,
        subject: str | None = None,
        start: timedelta = -timedelta(minutes=5),
        end: timedelta = timedelta(days=1),
    ) -> Identity:
        """Make a key and a certificate for it, in files called `name`."""
        key = new_key(self._folder / f"{name}.key")
        certificate = self._folder / f"{name}.pem"
        der = request(key, subject or f"/O=foreign test/CN={name}")
        certificate.write_text(self.sign(der, extensions, start=start, end=end))
        return Identity(key, certificate)

    def _ca(
        self, der: bytes, extensions: str, out: Path, dates: tuple[timedelta, timedelta], *, self_signed: bool = False
    ) -> None:
        asked, wanted = self._folder / "asked.der", self._folder / "extensions.cnf"
        asked.write_bytes(der)
        wanted.write_text(extensions)
        by = ["-selfsign"] if self_signed else ["-cert", self.certificate]
        start, end = (f"{datetime.now(UTC) + offset:%Y%m%d%H%M%SZ}" for offset in dates)
        run(
            *("openssl", "ca", "-batch", "-notext", "-config", self._folder / "ca.cnf", "-keyfile", self.key, *by),
            *("-startdate", start, "-enddate", end, "-extfile", wanted),
            *("-inform", "DER", "-in", asked, "-out", out),
        )


_CONFIG = """\
[ca]
default_ca = here
[here]
database = {folder}/index.txt
new_certs_dir = {folder}
rand_serial = yes
unique_subject = no
default_md = sha256
policy = any
email_in_dn = no
[any]
organizationName = optional
commonName = supplied
"""
