# SPDX-License-Identifier: Apache-2.0
"""The control socket: one JSON object a line, over a Unix socket only its owner can open.

    request   {"v": 1, "do": "keys.list", "args": {...}}
    answer    {"ok": true, "result": ...}
              {"ok": false, "error": {"code": "refused", "message": "..."}}
    stream    any number of {"item": ...} before the answer

Provenance: ours; a tool for people and scripts on the same machine, not part of any simulated protocol.
"""

from __future__ import annotations

import os
import socket
import tempfile
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec
import trio

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable

VERSION = 1
MAX_REQUEST_BYTES = 24 * 1024 * 1024
MAX_ANSWER_BYTES = 512 * 1024 * 1024
MAX_CLIENTS = 64
_LONGEST_SOCKET_PATH = 107  # sun_path of Linux, less its NUL
_BREATHER_SECONDS = 0.1


class ControlError(Exception):
    """The server refused, or could not be reached; the message is for the person at the terminal."""

    def __init__(self, message: str, code: str = "refused") -> None:
        super().__init__(message)
        self.code = code


class _Request(msgspec.Struct, forbid_unknown_fields=True):
    v: int
    do: str
    args: dict[str, Any] = {}


_request_decoder = msgspec.json.Decoder(_Request)


class ControlServer:
    """Answers requests; `handle(name, args, emit)` returns the result or raises `ControlError`."""

    def __init__(
        self, handle: Callable[[str, dict[str, Any], Callable[[Any], Awaitable[None]]], Awaitable[Any]]
    ) -> None:
        self._handle = handle

    async def serve(self, listener: trio.SocketListener) -> None:
        """Serve until cancelled."""
        limiter = trio.CapacityLimiter(MAX_CLIENTS)
        async with trio.open_nursery() as nursery:
            while True:
                try:
                    stream = await listener.accept()
                except OSError:  # no descriptor left, or the client is gone again
                    await trio.sleep(_BREATHER_SECONDS)
                    continue
                nursery.start_soon(self._serve_client, stream, limiter)

    async def _serve_client(self, stream: trio.SocketStream, limiter: trio.CapacityLimiter) -> None:
        with suppress(trio.BrokenResourceError, trio.ClosedResourceError):
            async with stream, limiter:
                buffer = bytearray()
                while (line := await _read_line(stream, buffer, MAX_REQUEST_BYTES)) is not None:
                    await stream.send_all(await self._answer(line, stream))

    async def _answer(self, line: bytes, stream: trio.SocketStream) -> bytes:
        async def emit(item: Any) -> None:
            await stream.send_all(_line({"item": item}))

        try:
            request = _request_decoder.decode(line)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            return _error("invalid", f"not a control request: {error}")
        if request.v != VERSION:
            return _error("version", f"this server speaks version {VERSION} of the control protocol")
        try:
            return _line({"ok": True, "result": await self._handle(request.do, request.args, emit)})
        except ControlError as error:
            return _error(error.code, str(error))
        except (trio.BrokenResourceError, trio.ClosedResourceError):
            raise
        except Exception:
            import structlog  # noqa: PLC0415 - clients are short-lived, and log nothing

            log = structlog.get_logger(__name__)
            log.exception("defect: a control command ended by an error of ours")
            return _error("defect", "an error inside the server; its log has the details")


@asynccontextmanager
async def open_control_listener(path: Path) -> AsyncIterator[tuple[trio.SocketListener, Path]]:
    """Listen at `path` (or, when that is too long for a socket, at a short one); yields where. Removed at the end."""
    if len(os.fsencode(path.absolute())) > _LONGEST_SOCKET_PATH:
        with tempfile.TemporaryDirectory(prefix="umslab-") as short:  # made 0700
            async with _listen(Path(short) / "control.sock") as listener:
                yield listener, Path(short) / "control.sock"
        return
    async with _listen(path.absolute()) as listener:
        yield listener, path.absolute()


@asynccontextmanager
async def _listen(path: Path) -> AsyncIterator[trio.SocketListener]:
    with suppress(FileNotFoundError):
        path.unlink()  # a server that was killed left it; the lock says that it is gone
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as sock:
        mask = os.umask(0o177)  # and no `await` before it is as it was: it is the whole process's
        try:
            sock.bind(os.fspath(path))
        finally:
            os.umask(mask)
        sock.listen(MAX_CLIENTS)
        try:
            async with trio.SocketListener(trio.socket.from_stdlib_socket(sock)) as listener:
                yield listener
        finally:
            with suppress(FileNotFoundError):
                path.unlink()


class ControlClient:
    """One connection to a control socket; get it from `connect_control`."""

    def __init__(self, stream: trio.SocketStream) -> None:
        self._stream = stream
        self._buffer = bytearray()

    async def call(self, name: str, on_item: Callable[[Any], None] | None = None, /, **args: Any) -> Any:
        """Send a request; return its result, giving streamed items to `on_item`. Raises `ControlError`."""
        request = _line({"v": VERSION, "do": name, "args": args})
        if len(request) > MAX_REQUEST_BYTES:  # the server would cut it off without a word
            raise ControlError(f"that is more than the {MAX_REQUEST_BYTES // 2**20} MiB of one request", "invalid")
        try:
            await self._stream.send_all(request)
            while (line := await _read_line(self._stream, self._buffer, MAX_ANSWER_BYTES)) is not None:
                answer = msgspec.json.decode(line)
                if "item" in answer:
                    if on_item is not None:
                        on_item(answer["item"])
                elif answer["ok"]:
                    return answer["result"]
                else:
                    raise ControlError(answer["error"]["message"], answer["error"]["code"])
        except (trio.BrokenResourceError, msgspec.DecodeError, UnicodeDecodeError) as error:
            raise ControlError(f"the server went away: {error}", "gone") from None
        raise ControlError("the server went away", "gone")


@asynccontextmanager
async def connect_control(path: Path) -> AsyncIterator[ControlClient]:
    """Connect; raises `ControlError` when nobody listens."""
    try:
        stream = await trio.open_unix_socket(os.fspath(path))
    except (OSError, ValueError) as error:
        raise ControlError(f"no server answers at {path}: {error}", "unreachable") from None
    async with stream:
        yield ControlClient(stream)


def _error(code: str, message: str) -> bytes:
    return _line({"ok": False, "error": {"code": code, "message": message}})


def _line(message: dict[str, Any]) -> bytes:
    return msgspec.json.encode(message) + b"\n"


async def _read_line(stream: trio.SocketStream, buffer: bytearray, most: int) -> bytes | None:
    searched = 0
    while (at := buffer.find(b"\n", searched)) < 0:
        searched = len(buffer)
        if searched > most:
            raise trio.BrokenResourceError("the line is too long")
        data = await stream.receive_some()
        if not data:
            return None
        buffer += data
    line = bytes(buffer[:at])
    del buffer[: at + 1]
    return line
