# SPDX-License-Identifier: Apache-2.0
"""Dial and put TLS on it, in bounded time."""

from __future__ import annotations

from typing import TYPE_CHECKING

import trio

from umslab_runtime.network import DialError, DialProblem
from umslab_runtime.tls import TLSError, TLSProblem

if TYPE_CHECKING:
    import ssl
    from collections.abc import Callable

    from umslab_protocol.values.host_port import HostPort
    from umslab_protocol.values.unit_id import UnitId
    from umslab_runtime.network import Network
    from umslab_runtime.streams import Transport
    from umslab_runtime.tls import TLSStream
    from umslab_runtime.tracing import Trace


async def dial_tls(
    network: Network,
    target: HostPort,
    context: ssl.SSLContext,
    *,
    within: float,
    unit_id: UnitId | None = None,
    prepare: Callable[[], None] | None = None,
    trace: Trace | None = None,
) -> TLSStream:
    """Return a TLS stream whose handshake is done on our side.

    `prepare` is called immediately before the context is used: a fleet loads the next device's certificate into the
    context that all devices of one key type share. `within` bounds dial and handshake together, in seconds.
    Raises `DialError`, `TLSError` or `TargetRefusedError`. In TLS 1.3 a server that refuses our certificate says so
    only at the first read (`TLSBrokenError`).
    """
    transport: Transport | None = None
    began = trio.current_time()
    with trio.move_on_after(within):
        transport = await network.dial(target, unit_id=unit_id)
        if trace is not None:
            trace("tcp", began)
            began = trio.current_time()
        try:
            if prepare is not None:
                prepare()  # and no `await` before wrap_tls has taken the certificate
            stream = transport.wrap_tls(context, server_side=False, server_hostname=target.host)
        except BaseException:
            transport.abort()
            raise
        await stream.do_handshake()
        if trace is not None:
            trace("tls", began)
        return stream
    if transport is None:
        raise DialError(DialProblem.TIMEOUT, f"{target}: no answer within {within:g} seconds")
    raise TLSError(TLSProblem.SILENT, f"{target}: connected, but no TLS answer within {within:g} seconds")
