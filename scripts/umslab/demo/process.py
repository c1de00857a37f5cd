# SPDX-License-Identifier: Apache-2.0
"""The demo's servers: real `umslab serve` processes in folders of their own."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, BinaryIO

import trio

from umslab_protocol.values.host_port import parse_host_port
from umslab_runtime.control import connect_control

_START_SECONDS = 60.0


class DemoFailedError(Exception):
    """A step did not do what it must; the message says which."""


@dataclass
class Server:
    """A `umslab serve` process."""

    folder: Path
    port: int = 0
    prefix: tuple[str, ...] = ()
    """Stands before the command, such as `ip netns exec NAME`."""
    options: tuple[str, ...] = ()
    process: subprocess.Popen[bytes] | None = None
    about: dict[str, Any] = field(default_factory=dict)

    async def start(self) -> None:
        """Start it, wait until it accepts connections."""
        ready = self.folder / "ready.json"
        ready.unlink(missing_ok=True)
        serve = (sys.executable, "-m", "umslab", "serve", "--state", str(self.folder), "--port", str(self.port))
        ports = ("--os11-port", "0", "--file-transfer-port", "0")
        command = [*self.prefix, *serve, *ports, *self.options]
        log = (self.folder / "serve.log").open("ab")
        with log:
            self.process = start_process([*command, "--ready-file", str(ready)], log)
        with trio.move_on_after(_START_SECONDS):
            while not ready.exists():
                if self.process.poll() is not None:
                    raise DemoFailedError(f"the server ended at once:\n{(self.folder / 'serve.log').read_text()}")
                await trio.sleep(0.05)
            self.about = json.loads(ready.read_text())
            self.port = parse_host_port(self.about["addresses"][0]).port
            return
        raise DemoFailedError(f"the server was not ready within {_START_SECONDS:g} s")

    async def stop(self, number: signal.Signals = signal.SIGTERM) -> None:
        """Stop it, and wait until it is gone."""
        if self.process is not None:
            self.process.send_signal(number)
            await trio.to_thread.run_sync(self.process.wait, abandon_on_cancel=True)
            self.process = None

    def kill(self) -> None:
        """Leave nothing running, whatever happened."""
        if self.process is not None and self.process.poll() is None:
            self.process.kill()
            self.process.wait()

    async def ask(self, name: str, /, **args: Any) -> Any:
        """Ask over the control socket."""
        async with connect_control(Path(self.about["control"])) as client:
            return await client.call(name, **args)


def start_process(command: list[str], log: BinaryIO) -> subprocess.Popen[bytes]:
    """Start a program of the demo."""
    return subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log)  # noqa: S603 - no shell
