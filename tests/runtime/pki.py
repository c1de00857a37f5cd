# SPDX-License-Identifier: Apache-2.0
"""Identities and contexts for real handshakes.

OpenSSL judges dates by the machine's clock, so these certificates are made around the present.
"""

from __future__ import annotations

import secrets
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from umslab_certs.authority import Authority, create_root
from umslab_certs.csr import build_request, read_request
from umslab_certs.identity import save_identity
from umslab_certs.keys import KeyType, generate_key
from umslab_certs.names import subject_names
from umslab_certs.tls import pinned_context, server_context, use_identity
from umslab_protocol.values.unit_id import UnitId

if TYPE_CHECKING:
    import ssl
    from pathlib import Path

PRESENT = datetime.now(UTC)
LONG_AGO = PRESENT - timedelta(days=400)
DAY = timedelta(days=1)
NAME = "ums.lab"
UNIT_ID = UnitId("02E0C514325B")


@dataclass(frozen=True)
class Pki:
    """A server, a device, and the authorities of both; make one with `make_pki`."""

    folder: Path
    root: Authority
    clients: Authority
    server: Path
    device: Path

    def server_context(self, identity: Path | None = None) -> ssl.SSLContext:
        """The server's: asks for a client certificate."""
        return server_context(identity or self.server, [self.clients.certificate])

    def client_context(self, identity: Path | None = None, *, root: Authority | None = None) -> ssl.SSLContext:
        """A client's that trusts `root`, or the right one; without an identity it presents nothing."""
        context = pinned_context([(root or self.root).certificate])
        if identity is not None:
            use_identity(context, identity)
        return context

    def device_of(self, authority: Authority, *, now: datetime = PRESENT, lifetime: timedelta = 365 * DAY) -> Path:
        """A new device's identity, issued by `authority` at `now`."""
        key = generate_key(KeyType.P256)
        request = read_request(build_request(UNIT_ID, key))
        file = self.folder / f"{secrets.token_hex(8)}.pem"
        save_identity(file, key, [authority.issue_device(request, now=now, lifetime=lifetime)])
        return file

    def server_of(
        self, authority: Authority, name: str = NAME, *, now: datetime = PRESENT, lifetime: timedelta = 365 * DAY
    ) -> Path:
        """A server's identity, issued by `authority` at `now`."""
        names = subject_names([name, "127.0.0.1", "localhost"])
        certificate, key = authority.issue_server(names, KeyType.P256, now=now, lifetime=lifetime)
        file = self.folder / f"{secrets.token_hex(8)}.pem"
        save_identity(file, key, [certificate])
        return file


def make_pki(folder: Path) -> Pki:
    """Make the authorities and one identity of each kind."""
    root = create_root("umslab lab root test", KeyType.P256, now=LONG_AGO)
    clients = create_root("umslab lab EST client CA test", KeyType.P256, now=LONG_AGO)
    half = Pki(folder, root, clients, server=folder, device=folder)
    return Pki(folder, root, clients, server=half.server_of(root), device=half.device_of(clients))
