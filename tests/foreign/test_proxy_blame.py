# SPDX-License-Identifier: Apache-2.0
"""Failures behind a real nginx: those of the proxy are told apart from those of the server behind it."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

import trio

from umslab_agent.explain import ERRORS, explain, explain_answer
from umslab_agent.fleet.blame import Side, Way, attribute
from umslab_certs.tls import blind_context
from umslab_protocol.values.failure import Phase
from umslab_protocol.values.host_port import parse_host_port
from umslab_protocol.wire.basic_auth import format_basic
from umslab_runtime.dial_tls import dial_tls
from umslab_runtime.http_client import HttpClientConnection, close_quietly
from umslab_runtime.net_trio import TrioNetwork

from .nginx import intercepting, nobody, passing_through
from .openssl import SERVER, Authority
from .ums import EST_PATH

if TYPE_CHECKING:
    from pathlib import Path

    from umslab_protocol.values.failure import Failure

    from .ums import Ums


async def _enrol(address: str) -> Failure:
    """Ask for a certificate with what is no request, as a device would ask; it fails in any case."""
    target = parse_host_port(address)
    headers = [("Content-Type", "application/pkcs10"), ("Authorization", format_basic("020000000001", "some-key"))]
    try:
        stream = await dial_tls(TrioNetwork(), target, blind_context(), within=30)
        try:
            http = HttpClientConnection(stream, address, request_id="020000000001-1")
            with trio.fail_after(30):
                answer = await http.request("POST", f"{EST_PATH}/simpleenroll", headers=headers, body=b"AAAA")
            return explain_answer(Phase.ENROL, answer)
        finally:
            await close_quietly(stream)
    except (trio.BrokenResourceError, *ERRORS) as error:
        return explain(Phase.ENROL, error)


def _failure(address: str) -> Failure:
    return trio.run(partial(_enrol, address))


def test_a_proxy_that_ends_tls(ums: Ums, tmp_path: Path) -> None:
    """The server's refusal comes with the id of the request; nginx's own 502 does not, and names nginx."""
    authority = Authority(tmp_path / "pki", "proxy")
    identity = authority.issue("proxy", SERVER)
    with intercepting(tmp_path / "one", identity, ums.address) as address:
        refused = _failure(address)
    with nobody() as nowhere, intercepting(tmp_path / "two", identity, nowhere) as address:
        unreachable = _failure(address)
    way = Way()

    assert (400, "020000000001-1") == (refused.seen.status, refused.seen.request)
    assert (502, "") == (unreachable.seen.status, unreachable.seen.request)
    assert "nginx" in unreachable.seen.server
    assert [Side.SERVER, Side.PROXY] == [attribute(failure, way) for failure in (refused, unreachable)]


def test_a_proxy_that_passes_tls_through(ums: Ums, tmp_path: Path) -> None:
    """The server's refusal is its own; a connection that is dropped before TLS is the proxy's, when there is one."""
    with passing_through(tmp_path / "one", ums.address) as address:
        refused = _failure(address)
    with nobody() as nowhere, passing_through(tmp_path / "two", nowhere) as address:
        dropped = _failure(address)
    with nobody() as nowhere:
        gone = _failure(nowhere)

    assert [Side.SERVER, Side.PROXY, Side.PROXY] == [
        attribute(failure, Way(proxied=True)) for failure in (refused, dropped, gone)
    ]
    assert Side.SERVER == attribute(gone, Way())
