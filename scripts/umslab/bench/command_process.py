# SPDX-License-Identifier: Apache-2.0
"""A command of umslab in a process of its own, as users start it; watched from outside."""

from __future__ import annotations

import os
import queue
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import trio

from umslab.bench.worker import PAGE
from umslab_runtime.control import connect_control

if TYPE_CHECKING:
    from typing import Self

_SAID_WITHIN = 3600.0
_END_SECONDS = 120.0
_LINES_SHOWN = 10
_TICKS = os.sysconf("SC_CLK_TCK")


class CommandProcess:
    """`umslab ARGUMENTS`, running; leave the context, and it is gone."""

    def __init__(self, *arguments: str) -> None:
        self._verb = " ".join(arguments[:2])
        self._process = subprocess.Popen(  # noqa: S603
            [sys.executable, "-m", "umslab", *arguments],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
        )
        self._lines: queue.SimpleQueue[str | None] = queue.SimpleQueue()
        self._latest: list[str] = []
        self._reader = threading.Thread(target=self._read, daemon=True)  # or a full pipe would stop the process
        self._reader.start()

    def _read(self) -> None:
        assert self._process.stderr is not None
        for line in self._process.stderr:
            self._lines.put(line)
        self._lines.put(None)

    def wait_for(self, said: str) -> None:
        """Return as soon as it says this. Raises `RuntimeError` when it ends, or does not within an hour."""
        if not self.says(said, within=_SAID_WITHIN):
            raise self._error(said)

    def says(self, said: str, *, within: float) -> bool:
        """Whether it says this within so many seconds. Raises `RuntimeError` when it ends."""
        until = time.monotonic() + within
        while True:
            try:
                line = self._lines.get(timeout=max(0.0, until - time.monotonic()))
            except queue.Empty:
                return False
            if line is None:
                raise self._error(said)
            self._latest = [*self._latest, line][-_LINES_SHOWN:]
            if said in line:
                return True

    def _error(self, said: str) -> RuntimeError:
        return RuntimeError(f"`umslab {self._verb}` did not say {said!r}, but:\n{''.join(self._latest)}")

    def resident(self) -> int:
        """Resident memory in bytes."""
        return int(Path(f"/proc/{self._process.pid}/statm").read_text().split()[1]) * PAGE

    def cpu_seconds(self) -> float:
        """CPU time so far, of the process and the kernel for it."""
        fields = Path(f"/proc/{self._process.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / _TICKS

    def end(self, how: signal.Signals) -> None:
        """Send this signal, and wait until it has ended."""
        self._process.send_signal(how)
        try:
            self._process.wait(_END_SECONDS)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._reader.join()
        assert self._process.stderr is not None
        self._process.stderr.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self._process.returncode is None:
            self.end(signal.SIGTERM)


def ask(socket: Path, name: str, /, **args: Any) -> Any:
    """Ask over a control socket."""

    async def call() -> Any:
        async with connect_control(socket) as client:
            return await client.call(name, **args)

    return trio.run(call)
