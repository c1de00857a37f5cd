# SPDX-License-Identifier: Apache-2.0
"""`umslab ctl certs`: the certificates of the running server, the rotation of its web root, its EST client CAs."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING

from tests.certs.pki import DAY, SERVER, make
from umslab.cli.ctl.certs import SHOWN_AT_MOST, _print_devices, _shorten
from umslab_certs.chain import to_pem
from umslab_certs.keys import key_to_pem

from .terminal import ctl, ctl_json, ctl_refused

if TYPE_CHECKING:
    from pathlib import Path

    import pytest

    from tests.certs.pki import Pair
    from tests.support.process import ServerProcess

NOW = datetime.now(UTC)


def write(path: Path, key: Pair, *above: Pair) -> tuple[str, str]:
    """Write a chain and its key."""
    (path / "chain.pem").write_bytes(to_pem([one.certificate for one in (key, *above)]))
    (path / "key.pem").write_bytes(key_to_pem(key.key))
    return str(path / "chain.pem"), str(path / "key.pem")


def test_renewing_the_web_certificate(server: ServerProcess) -> None:
    """A new leaf under the same root and token."""
    before = ctl_json(server, "certificates", "certs", "show")
    after = ctl_json(server, "certificates", "certs", "renew")

    assert before["web"]["serial"] != after["web"]["serial"]
    assert before["root"] == after["root"]
    assert before["token"] in ctl(server, "certs", "show")


def test_rotation(server: ServerProcess) -> None:
    """Announce, look, call off, announce, switch."""
    assert "no rotation was ever begun" in ctl(server, "certs", "rotation")
    assert "announced at" in ctl(server, "certs", "announce-root", "--root-key", "p-384")
    assert "next web root" in ctl(server, "certs", "show")
    assert "cancelled at" in ctl(server, "certs", "cancel-rotation")
    assert "no new web root is announced" in ctl_refused(server, "certs", "switch-root")
    announced = ctl_json(server, "rotation", "certs", "announce-root")
    assert announced["next_root"]["subject"].strip("'") in ctl(server, "certs", "switch-root")

    after = ctl_json(server, "rotation", "certs", "rotation")
    assert ("switched", announced["next_root"]) == (after["phase"], after["root"])
    assert announced["root"] == after["previous_root"]


def test_company_chain(server: ServerProcess, tmp_path: Path) -> None:
    """Read from files; what is missing or does not belong together is told in a line."""
    root = make("company root", ca=True, begin=NOW - DAY, end=NOW + 900 * DAY)
    leaf = make("ums", root, names=["ums.lab"], purposes=[SERVER], begin=NOW - DAY, end=NOW + 300 * DAY)
    chain, key = write(tmp_path, leaf, root)

    assert "belong together" in ctl_refused(server, "certs", "announce-root", "--chain", chain)
    assert "not for --chain" in ctl_refused(
        server, "certs", "announce-root", "--chain", chain, "--key", key, "--web-key", "p-256"
    )
    assert "cannot be read" in ctl_refused(server, "certs", "announce-root", "--chain", "/no/such", "--key", key)
    assert "not a readable private key" in ctl_refused(
        server, "certs", "announce-root", "--chain", chain, "--key", chain
    )
    assert "company root" in ctl(server, "certs", "announce-root", "--chain", chain, "--key", key)
    assert "cancelled" == ctl_json(server, "rotation", "certs", "cancel-rotation")["phase"]


def test_client_cas(server: ServerProcess, tmp_path: Path) -> None:
    """A new one, one from elsewhere, and the first one retired by a part of its fingerprint."""
    (first,) = server.ask("certs.client-cas")
    ctl(server, "certs", "new-client-ca", "--key", "p-384")
    authority = make("company devices", ca=True, begin=NOW - DAY, end=NOW + 900 * DAY)
    chain, key = write(tmp_path, authority)
    three = ctl(server, "certs", "new-client-ca", "--chain", chain, "--ca-key", key)

    assert "company devices" in three
    assert 2 == ctl(server, "certs", "show").count("earlier EST client CA")
    issuing = ctl_json(server, "client_cas", "certs", "client-cas")[0]["ca"]["sha256_parts"][1]
    assert "is the one that issues" in ctl_refused(server, "certs", "retire-client-ca", issuing)
    assert "not for --chain" in ctl_refused(server, "certs", "new-client-ca", "--chain", chain, "--key", "p-256")
    assert "belong together" in ctl_refused(server, "certs", "new-client-ca", "--ca-key", key)
    left = ctl(server, "certs", "retire-client-ca", first["ca"]["sha256_parts"][2])
    assert first["ca"]["subject"] not in left


def test_long_lists_are_cut(capsys: pytest.CaptureFixture[str]) -> None:
    """A text names some; --json has all."""
    unit_ids = [f"02{number:010X}" for number in range(SHOWN_AT_MOST + 3)]
    _print_devices("behind:", [{"unit_id": one, "name": "", "online": False, "last_contact": None} for one in unit_ids])

    assert "and 3 more; --json lists all" in capsys.readouterr().out
    assert "and 3 more" in _shorten(unit_ids)
    assert unit_ids[-1] not in _shorten(unit_ids)
