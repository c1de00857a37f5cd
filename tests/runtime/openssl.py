# SPDX-License-Identifier: Apache-2.0
"""The `openssl s_client` program: a peer that knows nothing of our code."""

from __future__ import annotations

import subprocess
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

import trio

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from umslab_runtime.streams import Address


class OpensslClient:
    """A running s_client: what it is told and what it prints."""

    def __init__(self, process: trio.Process) -> None:
        self._process = process
        self.output = b""

    async def type(self, line: bytes) -> None:
        """Type a line; one that begins with K, k, R or Q is a command."""
        assert self._process.stdin is not None
        await self._process.stdin.send_all(line + b"\n")

    async def leave(self) -> None:
        """End its input: it says goodbye and closes."""
        assert self._process.stdin is not None
        await self._process.stdin.aclose()

    async def until(self, text: bytes, times: int = 1) -> None:
        """Read what it prints until `text` is there so many times."""
        while self.output.count(text) < times:
            more = await self._receive()
            assert more, self.output.decode("utf-8", "replace")

    async def to_the_end(self) -> str:
        """Read all that it prints."""
        while await self._receive():
            pass
        return self.output.decode("utf-8", "replace")

    async def _receive(self) -> bytes:
        assert self._process.stdout is not None
        more = bytes(await self._process.stdout.receive_some())
        self.output += more
        return more


@asynccontextmanager
async def s_client(address: Address, *arguments: str) -> AsyncIterator[OpensslClient]:
    """Run s_client against an address; it is gone at the end."""
    command = ["openssl", "s_client", "-connect", str(address), *arguments]
    process = await trio.lowlevel.open_process(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
    )
    try:
        yield OpensslClient(process)
    finally:
        process.kill()
        with trio.CancelScope(shield=True):
            await process.wait()
        for pipe in (process.stdin, process.stdout):
            if pipe is not None:
                with trio.CancelScope(shield=True):
                    await pipe.aclose()
