# SPDX-License-Identifier: Apache-2.0
"""X9: device certificates that have expired, on servers with and without the switch that lets them in.

The certificates are real ones: a server runs three days in the past (libfaketime) and issues for one day.
"""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pytest

from .curl import EstByCurl
from .openssl import CLIENT, Authority, Identity, fresh_unit_id
from .strangers import need, run
from .ums import running_ums
from .websocket import ws_client

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

THEN = "-3d"


@dataclass(frozen=True)
class Stale:
    """A state folder with a device whose certificate has expired."""

    folder: Path
    unit_id: str
    identity: Identity

    def copy(self, name: str) -> Path:
        """A copy of the server's state folder, as after a restore."""
        return shutil.copytree(self.folder / "state", self.folder / name)

    @property
    def keys(self) -> Path:
        """Where the device's keys are."""
        return self.folder / "keys"


def in_the_past() -> dict[str, str]:
    """The environment in which a program lives three days ago; its timers go on as usual."""
    need("faketime")
    preload = run("faketime", "-f", THEN, "printenv", "LD_PRELOAD").out.strip()
    return {"LD_PRELOAD": preload, "FAKETIME": THEN, "FAKETIME_DONT_FAKE_MONOTONIC": "1"}


def is_valid(identity: Identity) -> bool:
    """Whether openssl finds that a certificate has not expired."""
    return run("openssl", "x509", "-in", identity.certificate, "-checkend", "0", check=False).code == 0


@pytest.fixture(scope="module")
def stale(tmp_path_factory: pytest.TempPathFactory) -> Stale:
    """Enrol a device three days ago for one day; it was never connected."""
    folder = tmp_path_factory.mktemp("stale")
    (folder / "keys").mkdir()
    unit_id = fresh_unit_id()
    with running_ums(folder / "state", "certificates.device_days=1", env=in_the_past()) as ums:
        identity = EstByCurl(ums, folder / "keys").enrol(unit_id)
    return Stale(folder, unit_id, identity)


@pytest.fixture(scope="module")
def forgiving(stale: Stale) -> Iterator[EstByCurl]:
    """The same server today, with the switch on."""
    with running_ums(stale.copy("forgiving"), "enrolment.accept_expired=true") as ums:
        yield EstByCurl(ums, stale.keys)


def test_is_refused_with_alert_45(stale: Stale) -> None:
    """Without the switch the handshake fails, for curl as for ws."""
    with running_ums(stale.copy("strict")) as ums:
        answer = EstByCurl(ums, stale.keys).post("simplereenroll", b"x", identity=stale.identity, auth_key=None)
        with ws_client(ums, stale.identity) as device:
            problem = device.wait_for("error")

    assert not is_valid(stale.identity)
    assert answer.status == 0
    assert "alert certificate expired" in answer.said
    assert "alert certificate expired" in problem["message"]


def test_connects_with_the_switch_on(stale: Stale, forgiving: EstByCurl) -> None:
    """The expired certificate opens a session."""
    with ws_client(forgiving.ums, stale.identity) as device:
        device.wait_for("open")
        welcome = device.greet(stale.unit_id)

    assert welcome["type"] == "welcome"


def test_renews_with_the_switch_on(stale: Stale, forgiving: EstByCurl) -> None:
    """Over the expired certificate the device gets one that is valid, and connects with it."""
    key = forgiving.new_key("renewed")
    answer = forgiving.post("simplereenroll", forgiving.ask(key, stale.unit_id), identity=stale.identity, auth_key=None)
    renewed = forgiving.keep(answer, key)
    with ws_client(forgiving.ums, renewed) as device:
        device.wait_for("open")
        welcome = device.greet(stale.unit_id)

    assert is_valid(renewed)
    assert welcome["type"] == "welcome"


def test_strangers_are_refused_with_the_switch_on(forgiving: EstByCurl, tmp_path: Path) -> None:
    """The switch forgives dates, not authorities."""
    rogue = Authority(tmp_path / "rogue", "rogue CA").issue("rogue", CLIENT)

    answer = forgiving.get("cacerts", "--cert", rogue.certificate, "--key", rogue.key)

    assert answer.status == 0
    assert "alert unknown ca" in answer.said
