# SPDX-License-Identifier: Apache-2.0
"""The path table: which path knows which methods, and who answers.

The server asks for client certificates in every handshake and takes none as well (M1, M3); what a path needs of one is
decided here and behind (M2).
"""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Protocol

from umslab_protocol.wire import paths
from umslab_runtime.http import Request, Response, Upgrade, text_response

if TYPE_CHECKING:
    from umslab_server.front.automatic import AutomaticFront
    from umslab_server.front.est import Est
    from umslab_server.front.files import FileFront
    from umslab_server.front.load_proof import LoadProofFront
    from umslab_server.front.pages import Pages
    from umslab_server.front.ws_connect import WsConnect

DEVICE_TLS = "TLSv1.3"  # T2
OTHER = "other"


class Handler(Protocol):
    """Answers one request."""

    async def __call__(self, request: Request, /) -> Response | Upgrade:
        """Return the answer."""


class Router:
    """The application that the HTTP server serves."""

    def __init__(self, table: dict[str, dict[str, Handler]]) -> None:
        """`table` is path -> method -> handler; HEAD is answered wherever GET is.

        A path that ends in a slash stands for what is one step below it.
        """
        self._table = table
        self.answers: Counter[tuple[str, int]] = Counter()
        """How often a path of the table (or `other`) was answered with a status; 101 for an upgrade."""

    async def __call__(self, request: Request, /) -> Response | Upgrade:
        """Find the handler, or answer 403, 404, 405."""
        path = next((one for one in (request.path, _folder(request.path)) if one in self._table), None)
        answer = await self._answer(request, None if path is None else self._table[path])
        self.answers[path or OTHER, 101 if isinstance(answer, Upgrade) else answer.status] += 1
        return answer

    async def _answer(self, request: Request, methods: dict[str, Handler] | None) -> Response | Upgrade:
        if methods is None:
            return text_response(404, "there is nothing at this path")
        if request.path.startswith((paths.DEVICE_CONNECTOR, paths.EST_ALIAS)) and (
            request.peer.tls_version != DEVICE_TLS
        ):
            return text_response(403, "devices connect over TLS 1.3; older versions are for other clients only")
        method = "GET" if request.method == "HEAD" else request.method
        handler = methods.get(method)
        if handler is None:
            allowed = sorted(methods) + (["HEAD"] if "GET" in methods else [])
            return text_response(405, f"this path knows {', '.join(allowed)}", [("Allow", ", ".join(allowed))])
        return await handler(request)


def _folder(path: str) -> str:
    """The path up to its last step, slash included; nothing for the folder itself."""
    above, slash, name = path.rpartition("/")
    return above + slash if name else ""


def build_table(
    est: Est,
    ws_connect: WsConnect,
    pages: Pages,
    files: FileFront | None = None,
    automatic: AutomaticFront | None = None,
    *,
    load_proof: LoadProofFront | None = None,
    est_alias: bool,
) -> dict[str, dict[str, Handler]]:
    """Lay out the paths; `est_alias` also offers EST at RFC 7030's own place."""
    table: dict[str, dict[str, Handler]] = {
        paths.WS_CONNECT: {"GET": ws_connect.get},
        paths.CHECK_STATUS: {"GET": pages.check_status},
        paths.INFO: {"GET": pages.info},
    }
    for base in (paths.EST, paths.EST_ALIAS) if est_alias else (paths.EST,):
        table[f"{base}/cacerts"] = {"GET": est.cacerts}
        table[f"{base}/csrattrs"] = {"GET": est.csrattrs}
        table[f"{base}/simpleenroll"] = {"POST": est.simpleenroll}
        table[f"{base}/simplereenroll"] = {"POST": est.simplereenroll}
    if automatic is not None:
        table[paths.REGISTRATION_TOKEN] = {"POST": automatic.post}
    if load_proof is not None:
        table[paths.LOAD_PROOF] = {"POST": load_proof.post}
    if files is not None:
        table[f"{paths.FILES}/"] = {"GET": files.get}
    return table
