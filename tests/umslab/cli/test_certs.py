# SPDX-License-Identifier: Apache-2.0
"""`umslab certs`: a stopped server's certificates; refusals name what is wrong."""

from __future__ import annotations

import json
import stat
from typing import TYPE_CHECKING, Any

import pytest

from tests.certs.pki import DAY, Pair, make
from tests.support.here import run_here
from tests.support.process import ServerProcess
from umslab_certs.chain import load_pem_certificates, to_pem
from umslab_certs.keys import key_to_pem

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

from datetime import UTC, datetime

from cryptography.x509.oid import ExtendedKeyUsageOID

NOW = datetime.now(UTC)
QUICK = ("--root-key", "p-256", "--web-key", "p-256")


def _certs(path: Path, *arguments: str) -> Any:
    return run_here("certs", *arguments, "--state", str(path))


@pytest.fixture
def state(tmp_path: Path) -> Path:
    """A state folder with certificates."""
    done = _certs(tmp_path / "state", "init", *QUICK, "--name", "ums.lab.example")
    assert (0, "") == (done.returncode, done.stderr)
    return tmp_path / "state"


def _write(path: Path, certificates: Sequence[Pair], key: Pair) -> tuple[str, str]:
    (path / "chain.pem").write_bytes(to_pem([pair.certificate for pair in certificates]))
    (path / "key.pem").write_bytes(key_to_pem(key.key))
    return str(path / "chain.pem"), str(path / "key.pem")


def _leaf(issuer: Pair, **details: Any) -> Pair:
    return make(
        "ums", issuer, purposes=[ExtendedKeyUsageOID.SERVER_AUTH], names=["ums.lab.example"],
        **{"begin": NOW - DAY, "end": NOW + 300 * DAY, **details},
    )  # fmt: skip


def _root(**details: Any) -> Pair:
    return make("company root", ca=True, **{"begin": NOW - DAY, "end": NOW + 3_000 * DAY, **details})


def test_token_and_fingerprint_agree(state: Path) -> None:
    """C21: the token is the third part of the root's fingerprint."""
    shown = json.loads(_certs(state, "show", "--json").stdout)["certificates"]
    token = _certs(state, "token").stdout.strip()

    assert token == shown["token"] == shown["root"]["sha256_parts"][2]
    assert token in _certs(state, "show").stdout


def test_init_again_changes_nothing(state: Path) -> None:
    """Existing certificates are kept: a new root would lock every device out."""
    before = _certs(state, "token").stdout
    again = _certs(state, "init", *QUICK)

    assert 0 == again.returncode
    assert before == _certs(state, "token").stdout


def test_exports(state: Path, tmp_path: Path) -> None:
    """C10, X12: the web chain down from its leaf, the client CA; to a private file or standard output."""
    _certs(state, "export-web", str(tmp_path / "web.crt"))
    web = load_pem_certificates((tmp_path / "web.crt").read_bytes(), "web")
    client = load_pem_certificates(_certs(state, "export-client").stdout.encode(), "client")

    assert 2 == len(web)
    assert 1 == len(client)
    assert 0o600 == stat.S_IMODE((tmp_path / "web.crt").stat().st_mode)
    assert "PRIVATE" not in (tmp_path / "web.crt").read_text()


def test_renewing(state: Path) -> None:
    """Another leaf, the same root, more names."""
    before = json.loads(_certs(state, "show", "--json").stdout)["certificates"]
    done = _certs(state, "renew", "--name", "other.lab.example", "--json")
    after = json.loads(done.stdout)["certificates"]

    assert before["root"] == after["root"]
    assert before["web"]["serial"] != after["web"]["serial"]


def test_a_company_chain_takes_over(state: Path, tmp_path: Path) -> None:
    """C8: after the import the token is that of the company root, and renewing says where the root key is."""
    root = _root()
    chain, key = _write(tmp_path, [root, leaf := _leaf(root)], leaf)
    done = _certs(state, "import-web", chain, key, "--name", "ums.lab.example")

    assert (0, "") == (done.returncode, done.stderr)
    assert "company root" in done.stdout
    assert "imported" in _certs(state, "renew").stderr


@pytest.mark.parametrize(
    ("what", "word"),
    [
        ("incomplete", "company root"),
        ("mismatched", "key"),
        ("expired", "expired"),
        ("names", "missing.lab.example"),
        ("not there", "cannot be read"),
    ],
)
def test_chains_that_are_refused(state: Path, tmp_path: Path, what: str, word: str) -> None:
    """Each refusal says what is wrong and changes nothing."""
    root = _root()
    leaf = _leaf(root, begin=NOW - 9 * DAY, end=NOW - DAY) if what == "expired" else _leaf(root)
    chain, key = _write(
        tmp_path, [leaf] if what == "incomplete" else [leaf, root], _leaf(root) if what == "mismatched" else leaf
    )
    names = ("--name", "missing.lab.example") if what == "names" else ()
    before = _certs(state, "token").stdout
    done = _certs(state, "import-web", "/no/such.pem" if what == "not there" else chain, key, *names)

    assert 1 == done.returncode
    assert word in done.stderr
    assert "Traceback" not in done.stderr
    assert before == _certs(state, "token").stdout


def test_a_client_ca_from_elsewhere(state: Path, tmp_path: Path) -> None:
    """Device certificates come from it; a certificate that is no CA is refused."""
    authority = make("company devices", ca=True, begin=NOW - DAY, end=NOW + 900 * DAY)
    done = _certs(state, "import-client-ca", *_write(tmp_path, [authority], authority))
    stranger = make("no CA", begin=NOW - DAY, end=NOW + 900 * DAY)
    refused = _certs(state, "import-client-ca", *_write(tmp_path, [stranger], stranger))

    assert (0, "") == (done.returncode, done.stderr)
    assert "company devices" in _certs(state, "show").stdout
    assert 1 == refused.returncode
    assert "company devices" in _certs(state, "show").stdout


def test_a_running_server_is_not_changed_behind_its_back(tmp_path: Path) -> None:
    """Reading is fine; changing is refused with the verb to use instead."""
    server = ServerProcess(tmp_path / "state")
    try:
        server.start()
        shown = _certs(server.state, "token")
        refused = _certs(server.state, "renew")
    finally:
        server.close()

    assert server.about["token"] == shown.stdout.strip()
    assert 1 == refused.returncode
    assert "umslab ctl certs" in refused.stderr


def test_nothing_there_yet(tmp_path: Path) -> None:
    """The message names the verb that makes certificates."""
    done = _certs(tmp_path, "show")

    assert 1 == done.returncode
    assert "umslab certs init" in done.stderr
