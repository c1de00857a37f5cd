# SPDX-License-Identifier: Apache-2.0
"""A device's link to one connector: dial, mutual TLS, `ws-connect`, and the session on it (facts W2, W3, E2)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import trio

from umslab_protocol.machines.session_device import DeviceSession
from umslab_protocol.values.unit_id import UnitId
from umslab_protocol.wire.messages import SUBPROTOCOL
from umslab_protocol.wire.paths import WS_CONNECT
from umslab_runtime.dial_tls import dial_tls
from umslab_runtime.http import Response
from umslab_runtime.http_client import HttpClientConnection
from umslab_runtime.tls import TLSError, TLSProblem

if TYPE_CHECKING:
    import ssl
    from collections.abc import Callable

    from umslab_protocol.values.host_port import HostPort
    from umslab_protocol.wire.codec import SessionCodec
    from umslab_protocol.wire.messages import Hello
    from umslab_runtime.http_client import Tap
    from umslab_runtime.network import Network
    from umslab_runtime.pump import SessionPump
    from umslab_runtime.session_host import SessionHost
    from umslab_runtime.tls import TLSStream
    from umslab_runtime.tracing import Trace

CONNECT_TIMEOUT = 45.0
"""Seconds for dial, TLS and opening: `system.remotemanager.connect_timeout` (W10)."""


class SessionRefused(Exception):  # noqa: N818 - the server's answer, not an error of ours
    """The server answered `ws-connect` with something other than 101."""

    def __init__(self, response: Response) -> None:
        super().__init__(f"HTTP {response.status}")
        self.response = response


@dataclass(frozen=True, slots=True)
class TlsIdentity:
    """How this device proves who it is: a context (which may be shared) and what puts its certificate into it."""

    context: ssl.SSLContext
    prepare: Callable[[], None]


@dataclass(frozen=True, slots=True)
class Link:
    """An open WebSocket with its session machine on a pump; `run` it, then close the stream."""

    stream: TLSStream
    pump: SessionPump
    first_bytes: bytes


async def open_link(
    network: Network,
    target: HostPort,
    identity: TlsIdentity,
    *,
    hello: Hello,
    key: bytes,
    codec: SessionCodec,
    host: SessionHost,
    tap: Tap | None = None,
    trace: Trace | None = None,
    within: float = CONNECT_TIMEOUT,
) -> Link:
    """Connect to `ws-connect`; `key` is 16 random bytes.

    Raises what `dial_tls` raises, `SessionRefused`, `RemoteProtocolError` for an answer that is no answer, and
    `TLSBrokenError` when the server refuses our certificate.
    """
    with trio.move_on_after(within):
        stream = await dial_tls(
            network,
            target,
            identity.context,
            within=within,
            unit_id=UnitId(hello.unitID),
            prepare=identity.prepare,
            trace=trace,
        )
        began = host.clock.monotonic()
        try:
            http = HttpClientConnection(stream, str(target), tap, request_id=f"{hello.unitID}-{key[:4].hex()}")
            opened = await http.open_websocket(WS_CONNECT, key=key, subprotocols=(SUBPROTOCOL,))
            if isinstance(opened, Response):
                raise SessionRefused(opened)
            if trace is not None:
                trace("websocket", began)
        except BaseException:
            stream.abort()
            raise
        machine = DeviceSession(codec=codec, hello=hello, now=host.clock.monotonic())
        return Link(stream, host.pump(machine, stream), opened.first_bytes)
    raise TLSError(TLSProblem.SILENT, f"{target}: no answer to ws-connect within {within:g} seconds")
