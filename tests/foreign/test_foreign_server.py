# SPDX-License-Identifier: Apache-2.0
"""Our device at a server that is not ours: nginx for TLS, openssl for certificates, npm's ws for the session."""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING

import pytest

from .est_backend import EstBackend, serving
from .nginx import Backends, est_server, intercepting
from .openssl import SERVER, Authority, Identity, communication_token
from .ums import run_device
from .websocket import SUBPROTOCOL, Events, ws_server

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from .ums import Ums

KEY = "the-strangers-key"


@dataclass(frozen=True)
class Pki:
    """A web root with an intermediate and a server certificate, and a CA for clients; all by openssl."""

    root: Authority
    intermediate: Authority
    clients: Authority
    direct: Identity
    """Signed by the root."""
    indirect: Identity
    """Signed by the intermediate; the file holds the leaf alone."""

    @property
    def token(self) -> str:
        """What a person would type."""
        return communication_token(self.root.certificate)

    def bundle(self, *authorities: Authority) -> bytes:
        """PEM of these certificates."""
        return b"".join(authority.certificate.read_bytes() for authority in authorities)


@pytest.fixture(scope="module")
def pki(tmp_path_factory: pytest.TempPathFactory) -> Pki:
    """Made once."""
    folder = tmp_path_factory.mktemp("strangers-pki")
    root = Authority(folder / "root", "strangers root")
    intermediate = Authority(folder / "intermediate", "strangers intermediate", issuer=root)
    return Pki(
        root=root,
        intermediate=intermediate,
        clients=Authority(folder / "clients", "strangers client CA"),
        direct=root.issue("direct", SERVER),
        indirect=intermediate.issue("indirect", SERVER),
    )


@dataclass(frozen=True)
class Stranger:
    """A running server that is not ours."""

    address: str
    backend: EstBackend
    sessions: Events


@contextmanager
def stranger(folder: Path, pki: Pki, presented: Identity, *announced: Authority) -> Iterator[Stranger]:
    """Run one that presents this certificate and announces these CAs."""
    backend = EstBackend(folder / "est", pki.clients, pki.bundle(*announced), KEY)
    with ws_server() as (sessions, ws_port), serving(backend):
        backends = Backends(pki.clients.certificate, backend.port, ws_port)
        with est_server(folder / "nginx", presented, backends) as address:
            yield Stranger(address, backend, sessions)


def test_comes_on_board(pki: Pki, tmp_path: Path) -> None:
    """The device finds trust, enrols, connects with its certificate, takes settings, is managed, and exits 0."""
    with stranger(tmp_path, pki, pki.direct, pki.root, pki.clients) as server:
        finished, told = run_device(server.address, tmp_path / "device", pki.token, auth_key=KEY)
        connected = server.sessions.wait_for("connection")
        hello = server.sessions.wait_for_message("hello")
        said = [server.sessions.wait_for_message(kind) for kind in ("pushsysinfo", "pullsettings", "ack")]

    unit_id = told["unit_id"]
    assert finished.code == 0, finished
    assert told["managed"] is True
    assert server.backend.asked == ["cacerts", f"simpleenroll {unit_id}"]
    assert connected["subject"] == f"CN={unit_id}"
    assert connected["protocol"] == SUBPROTOCOL
    assert (hello["type"], hello["unitID"]) == ("hello", unit_id)
    info, pulled, acknowledged = said
    assert info["info"]["unitID"] == unit_id
    assert (pulled["version"], pulled["digest"]) == (0, "")
    assert acknowledged["re"] == 1  # the stranger's settings are kept


def test_renews_and_reconnects(pki: Pki, tmp_path: Path) -> None:
    """With less than a third of its certificate's life left a device renews at its next start, over mutual TLS alone.

    At the start after that there is nothing left to do but to connect.
    """
    asked: list[list[str]] = []
    unit_ids: set[str] = set()
    with stranger(tmp_path, pki, pki.direct, pki.root, pki.clients) as server:
        for start, end in ((-20, 4), (-1, 7200), (-1, 7200)):
            server.backend.start, server.backend.end = timedelta(hours=start), timedelta(hours=end)
            finished, told = run_device(server.address, tmp_path / "device", pki.token, auth_key=KEY)
            assert finished.code == 0, finished
            asked.append([*server.backend.asked])
            unit_ids.add(told["unit_id"])
            server.backend.asked.clear()

    (unit_id,) = unit_ids
    assert asked == [["cacerts", f"simpleenroll {unit_id}"], [f"simplereenroll {unit_id}"], []]


def test_completes_the_chain_from_cacerts(pki: Pki, tmp_path: Path) -> None:
    """A server that sends its leaf alone is trusted when cacerts has the intermediate and the root."""
    with stranger(tmp_path, pki, pki.indirect, pki.intermediate, pki.root, pki.clients) as server:
        finished, told = run_device(server.address, tmp_path / "device", pki.token, auth_key=KEY)

    assert finished.code == 0, finished
    assert told["managed"] is True


def test_refuses_a_chain_without_its_root(pki: Pki, tmp_path: Path) -> None:
    """C31: without the root in cacerts the device ends with the vendor's code 37, and sends no key."""
    with stranger(tmp_path, pki, pki.indirect, pki.intermediate, pki.clients) as server:
        finished, told = run_device(server.address, tmp_path / "device", pki.token, auth_key=KEY)

    failure = told["failure"]
    assert finished.code == 3
    assert (failure["phase"], failure["reason"], failure["vendor_code"]) == ("trust", "chain-incomplete", 37)
    assert server.backend.asked == ["cacerts"]


def test_refuses_a_chain_with_a_gap(pki: Pki, tmp_path: Path) -> None:
    """The same code when the intermediate is nowhere; whether that is a mistake or an attack cannot be known."""
    with stranger(tmp_path, pki, pki.indirect, pki.root, pki.clients) as server:
        finished, told = run_device(server.address, tmp_path / "device", pki.token, auth_key=KEY)

    assert finished.code == 3
    assert (told["failure"]["phase"], told["failure"]["vendor_code"]) == ("trust", 37)
    assert server.backend.asked == ["cacerts"]


def test_refuses_another_root(pki: Pki, tmp_path: Path) -> None:
    """A complete chain below a root with another token is refused."""
    with stranger(tmp_path, pki, pki.direct, pki.root, pki.clients) as server:
        finished, told = run_device(server.address, tmp_path / "device", "0123456789ABCDEF", auth_key=KEY)

    assert finished.code == 3
    assert told["failure"]["reason"] == "pin-mismatch"
    assert server.backend.asked == ["cacerts"]


def test_reports_a_wrong_key(pki: Pki, tmp_path: Path) -> None:
    """The stranger's 401 becomes the vendor's code 38."""
    with stranger(tmp_path, pki, pki.direct, pki.root, pki.clients) as server:
        finished, told = run_device(server.address, tmp_path / "device", pki.token, auth_key="wrong-key")

    assert finished.code == 3
    assert (told["failure"]["reason"], told["failure"]["vendor_code"]) == ("key-refused", 38)


def test_notices_that_tls_is_intercepted(ums: Ums, pki: Pki, tmp_path: Path) -> None:
    """T16: a proxy that ends TLS with its own certificate in front of our server is named, with code 37."""
    with intercepting(tmp_path / "nginx", pki.direct, ums.address) as address:
        finished, told = run_device(address, tmp_path / "device", ums.token)

    failure = told["failure"]
    assert finished.code == 3
    assert (failure["phase"], failure["reason"], failure["vendor_code"]) == ("trust", "intercepted", 37)
