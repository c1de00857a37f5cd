# SPDX-License-Identifier: Apache-2.0
"""The bare loop of onboarding: three fresh handshakes, an answer each, a certificate signed; nothing is kept.

TLS by non-blocking SSLSockets, requests by h11, the session by wsproto, one task a connection, as in bare.py.
"""

from __future__ import annotations

import json
import socket
import sys
import time
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import h11
import trio
import wsproto
from cryptography.hazmat.primitives.serialization import load_pem_private_key
from wsproto.events import AcceptConnection, Request

from umslab.bench.bare import accept, dial, listen, make_device_context, make_server_context, retry
from umslab.bench.pki import unit_id
from umslab.bench.worker import say
from umslab_certs.authority import Authority
from umslab_certs.chain import load_pem_certificates, to_pem
from umslab_certs.csr import build_request, read_request
from umslab_certs.keys import KeyType, generate_key, key_to_pem
from umslab_certs.pkcs7 import decode_certificates, encode_certs_only

if TYPE_CHECKING:
    import ssl
    from pathlib import Path

_HANDSHAKES = 8
_SESSION = "/session"


class _Server:
    def __init__(self, folder: Path) -> None:
        self._context = make_server_context(folder)
        self._gate = trio.CapacityLimiter(_HANDSHAKES)
        certificates = load_pem_certificates((folder / "client-ca.pem").read_bytes(), "CA")
        key = load_pem_private_key((folder / "client-ca-key.pem").read_bytes(), None)
        self._authority = Authority(certificates[0], key, tuple(certificates))  # type: ignore[arg-type]
        self._cacerts = encode_certs_only(load_pem_certificates((folder / "root.pem").read_bytes(), "root"))

    async def serve(self, raw: socket.socket) -> None:
        raw.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        raw.setblocking(False)
        sock = self._context.wrap_socket(
            raw, server_side=True, do_handshake_on_connect=False, suppress_ragged_eofs=False
        )
        try:
            async with self._gate:
                await retry(sock, sock.do_handshake)
            data = await retry(sock, sock.recv, 16384)
            if data.startswith(f"GET {_SESSION}".encode()):
                await self._hold(sock, data)
            else:
                await self._answer(sock, data)
        except OSError:
            pass
        sock.close()

    async def _answer(self, sock: ssl.SSLSocket, data: bytes) -> None:
        http, body = h11.Connection(h11.SERVER), b""
        http.receive_data(data)
        while not isinstance(event := http.next_event(), h11.EndOfMessage):
            if event is h11.NEED_DATA:
                http.receive_data(await retry(sock, sock.recv, 16384))
            elif isinstance(event, h11.Data):
                body += event.data
        answer = self._issue(body) if body else self._cacerts
        head = h11.Response(status_code=200, headers=[("Content-Length", str(len(answer))), ("Connection", "close")])
        parts = [http.send(head), http.send(h11.Data(data=answer)), http.send(h11.EndOfMessage())]
        await retry(sock, sock.send, b"".join(part for part in parts if part))

    def _issue(self, der: bytes) -> bytes:
        issued = self._authority.issue_device(read_request(der), now=datetime.now(UTC))
        return encode_certs_only([issued])

    async def _hold(self, sock: ssl.SSLSocket, data: bytes) -> None:
        ws = wsproto.WSConnection(wsproto.ConnectionType.SERVER)
        while data:
            ws.receive_data(data)
            for event in ws.events():
                if isinstance(event, Request):
                    await retry(sock, sock.send, ws.send(AcceptConnection()))
            data = await retry(sock, sock.recv, 16384)


def serve(folder: Path) -> None:
    """Be the server until standard input ends."""

    async def main() -> None:
        server = _Server(folder)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(accept, listen(), nursery, server.serve)
            await trio.to_thread.run_sync(sys.stdin.read)
            nursery.cancel_scope.cancel()

    trio.run(main)


class _Devices:
    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._plain, self._mutual = make_device_context(folder), make_device_context(folder)
        self._connected: list[ssl.SSLSocket] = []

    async def run(self, order: dict[str, Any]) -> float:
        gate = trio.CapacityLimiter(order["parallel"])

        async def one(index: int) -> None:
            async with gate:
                await self._onboard(index, order["port"])

        began = time.perf_counter()
        async with trio.open_nursery() as coming:
            for index in range(order["first"], order["first"] + order["count"]):
                coming.start_soon(one, index)
        return time.perf_counter() - began

    async def _onboard(self, index: int, port: int) -> None:
        assert decode_certificates(await self._ask(port, "GET", b""))
        key = generate_key(KeyType.P256)
        issued = decode_certificates(await self._ask(port, "POST", build_request(unit_id(index), key)))
        file = self._folder / f"device-{index}.pem"
        file.write_bytes(key_to_pem(key) + to_pem(issued))
        sock = await dial(port, self._mutual, file)
        ws = wsproto.WSConnection(wsproto.ConnectionType.CLIENT)
        await retry(sock, sock.send, ws.send(Request(host="localhost", target=_SESSION)))
        ws.receive_data(await retry(sock, sock.recv, 16384))
        assert isinstance(next(ws.events()), AcceptConnection)
        self._connected.append(sock)

    async def _ask(self, port: int, method: str, body: bytes) -> bytes:
        sock = await dial(port, self._plain)
        http, answer = h11.Connection(h11.CLIENT), b""
        headers = [("Host", "localhost"), ("Content-Length", str(len(body)))]
        parts = [http.send(h11.Request(method=method, target="/", headers=headers))]
        if body:
            parts.append(http.send(h11.Data(data=body)))
        parts.append(http.send(h11.EndOfMessage()))
        await retry(sock, sock.send, b"".join(part for part in parts if part))
        while not isinstance(event := http.next_event(), h11.EndOfMessage):
            if event is h11.NEED_DATA:
                http.receive_data(await retry(sock, sock.recv, 16384))
            elif isinstance(event, h11.Data):
                answer += event.data
        sock.close()
        return answer


def connect(folder: Path) -> None:
    """Be the devices until standard input ends."""

    async def main() -> None:
        devices = _Devices(folder)
        while line := await trio.to_thread.run_sync(sys.stdin.readline):
            say(seconds=await devices.run(json.loads(line)))

    trio.run(main)
