# SPDX-License-Identifier: Apache-2.0
"""A look at the backend before a fleet comes: may it be called, and what does it call itself."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING

import trio
from msgspec import Struct

from umslab.fleet.proving import NotProvedError
from umslab_agent.fleet.report import Backend
from umslab_agent.link import CONNECT_TIMEOUT
from umslab_certs.tls import blind_context
from umslab_protocol.errors import RemoteProtocolError
from umslab_protocol.values.host_port import HostPort
from umslab_protocol.wire import paths
from umslab_protocol.wire.request_id import REQUEST_HEADER
from umslab_runtime.dial_tls import dial_tls
from umslab_runtime.http_client import HttpClientConnection, close_quietly
from umslab_runtime.network import DialError
from umslab_runtime.policy import TargetRefusedError
from umslab_runtime.tls import TLSError

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from umslab_runtime.http import Response
    from umslab_runtime.net_trio import TrioNetwork
    from umslab_runtime.policy import TargetPolicy

_REQUEST_ID = "fleet-probe"
_PATIENCE = 10.0


class Checked(Struct, frozen=True):
    """What the target policy has to say."""

    local: bool = False
    """All addresses of the target are this machine."""
    proved: tuple[str, ...] = ()
    """Addresses of a server that has proved that it was started for load; none when no limit had to be lifted."""


async def check_target(
    network: TrioNetwork,
    target: HostPort,
    policy: TargetPolicy,
    *,
    devices: int,
    busiest: int,
    prove: Callable[[HostPort], Awaitable[None]],
) -> Checked:
    """Ask the target policy for every address of the target, and a server for its proof where a limit needs one.

    `prove` raises `NotProvedError`. Raises `TargetRefusedError`. A name without an address passes: the run will tell.
    """
    try:
        addresses = await network.resolve(target.host)
    except DialError:
        return Checked()
    for address in addresses:
        policy.check(address)
    proved = False
    for address in addresses:
        try:
            policy.check_load(address, devices, busiest)
        except TargetRefusedError as refused:
            try:
                await prove(HostPort(address, target.port))
            except NotProvedError as why:
                raise TargetRefusedError(f"{refused}. No proof: {why}") from None
            proved = True
    local = bool(addresses) and all(address == "::1" or address.startswith("127.") for address in addresses)
    return Checked(local, tuple(addresses) if proved else ())


async def probe(network: TrioNetwork, target: HostPort, *, proxied: bool) -> tuple[Backend, bool]:
    """Ask for `/info`; returns the backend, and whether it repeats the ids of requests. No secret is sent.

    A backend that does not answer has no name: the devices will meet it, and the report tell what they met.
    """
    answer = None
    with trio.move_on_after(_PATIENCE):
        with contextlib.suppress(DialError, TLSError, RemoteProtocolError, trio.BrokenResourceError, OSError):
            answer = await _ask(network, target)
    if answer is None:
        return Backend(target=str(target)[:200], proxied=proxied), False
    product, _, rest = (answer.header("server") or "").partition("/")
    version = rest.split(" ", 1)[0]
    repeats = answer.header(REQUEST_HEADER.lower()) == _REQUEST_ID
    name = product.split(" ", 1)[0].strip().lower()
    return Backend(target=str(target)[:200], product=name[:200], version=version[:200], proxied=proxied), repeats


async def _ask(network: TrioNetwork, target: HostPort) -> Response:
    stream = await dial_tls(network, target, blind_context(), within=min(_PATIENCE, CONNECT_TIMEOUT))
    try:
        http = HttpClientConnection(stream, str(target), request_id=_REQUEST_ID)
        return await http.request("GET", paths.INFO)
    finally:
        await close_quietly(stream)
