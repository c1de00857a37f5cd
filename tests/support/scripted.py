# SPDX-License-Identifier: Apache-2.0
"""A server whose every answer is scripted, on the memory network, for devices to fail against."""

from __future__ import annotations

from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import trio

from tests.support.lab import EPOCH, SERVER
from umslab_certs.authority import Authority, create_root
from umslab_certs.files import make_private_folder
from umslab_certs.identity import save_identity
from umslab_certs.keys import KeyType
from umslab_certs.names import subject_names
from umslab_certs.pkcs7 import encode_certs_only
from umslab_certs.tls import server_context
from umslab_protocol.values.host_port import HostPort
from umslab_protocol.wire import paths
from umslab_protocol.wire.transfer import Wrapping, encode_body
from umslab_runtime.clock import VirtualClock
from umslab_runtime.connections import ConnectionServer
from umslab_runtime.http import Request, Response, Upgrade
from umslab_runtime.limits import Limits
from umslab_runtime.net_memory import MemoryNetwork

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Sequence
    from pathlib import Path

    from cryptography.x509 import Certificate

    from umslab_runtime.clock import Clock
    from umslab_runtime.network import Network

Answer = Response | Upgrade


def p7(certificates: Sequence[Certificate], status: int = 200) -> Response:
    """An EST answer that holds these certificates."""
    body = encode_body(encode_certs_only(certificates), Wrapping.ONE_LINE, "PKCS7")
    return Response(status, [("Content-Type", "application/pkcs7-mime")], body)


@dataclass
class Scripted:
    """The server: set `answers[operation]` to a response or a function, see `requests` afterwards."""

    root: Authority
    clients: Authority
    leaf: Certificate
    network: MemoryNetwork
    devices: Network
    clock: Clock
    target: HostPort
    answers: dict[str, Response | Callable[[Request], Answer]] = field(default_factory=dict)
    requests: list[Request] = field(default_factory=list)

    async def __call__(self, request: Request, /) -> Answer:
        """Answer by the script; 404 for what it does not know."""
        self.requests.append(request)
        answer = self.answers.get(request.path.rpartition("/")[2], Response(404))
        return answer if isinstance(answer, Response) else answer(request)

    def paths(self) -> list[str]:
        """The last parts of the paths that were asked for."""
        return [request.path.removeprefix(paths.EST).rpartition("/")[2] for request in self.requests]


@asynccontextmanager
async def open_scripted(path: Path, *, names: Sequence[str] = (SERVER,)) -> AsyncIterator[Scripted]:
    """Serve; the answers for a good `cacerts` are there from the start."""
    clock = VirtualClock(EPOCH)
    root = create_root("scripted root", KeyType.P256, now=EPOCH)
    clients = create_root("scripted client CA", KeyType.P256, now=EPOCH, path_length=0)
    leaf, key = root.issue_server(subject_names(names), KeyType.P256, now=EPOCH)
    make_private_folder(path)
    save_identity(path / "scripted.pem", key, [leaf])
    context = server_context(path / "scripted.pem", [clients.certificate], check_time=False)
    network = MemoryNetwork()
    listener = await network.host(SERVER).listen("", 8443)
    scripted = Scripted(
        root, clients, leaf, network, network.host("device"), clock, HostPort(SERVER, listener.address.port)
    )
    scripted.answers["cacerts"] = p7([root.certificate, clients.certificate])
    connections = ConnectionServer(
        scripted, context=lambda: context, limits=Limits(), clock=clock, server_name="scripted"
    )
    async with trio.open_nursery() as nursery:
        nursery.start_soon(connections.serve, [listener])
        yield scripted
        nursery.cancel_scope.cancel()
