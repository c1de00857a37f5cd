# SPDX-License-Identifier: Apache-2.0
"""`umslab serve` as a process of its own, started and killed by tests; readiness is an event, never a sleep."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import trio

from umslab_runtime.control import connect_control

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

QUICK_KEYS = ("--set", "certificates.root_key=p-256", "--set", "certificates.web_key=p-256", "--set", "os11.key=p-256")
UMSLAB = (sys.executable, "-m", "umslab")


def clean_environment() -> dict[str, str]:
    """This process's environment without anything that would change what umslab does."""
    return {name: value for name, value in os.environ.items() if not name.startswith("UMSLAB_")}


@dataclass
class ServerProcess:
    """One server on one state folder; `start` again after `kill` uses the same ports."""

    state: Path
    arguments: Sequence[str] = QUICK_KEYS
    port: int = 0
    os11_port: int = 0
    file_transfer_port: int = 0
    inside: Sequence[str] = ()
    """What starts it elsewhere, such as in a network namespace."""
    about: dict[str, Any] = field(default_factory=dict)
    lines: list[str] = field(default_factory=list)
    process: subprocess.Popen[str] | None = None
    _reader: threading.Thread | None = None

    def start(self) -> None:
        """Start it and wait until it accepts connections; raises `RuntimeError` with its output when it does not."""
        ports = ("--port", self.port, "--os11-port", self.os11_port, "--file-transfer-port", self.file_transfer_port)
        command = [*self.inside, *UMSLAB, "serve", "--state", str(self.state), *map(str, ports), *self.arguments]
        self.process = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, env=clean_environment()
        )
        stderr = self.process.stderr
        assert stderr is not None
        for line in stderr:
            self.lines.append(line)
            if "state folder" in line:
                break
        else:
            self.process.wait()
            raise RuntimeError("the server did not start:\n" + "".join(self.lines))
        self.about = json.loads((self.state / "server" / "server.json").read_text())
        self.port = _port(self.about["addresses"])
        self.os11_port = _port(self.about["os11_addresses"])
        self.file_transfer_port = _port(self.about["file_transfer_addresses"])
        self._reader = threading.Thread(target=lambda: self.lines.extend(stderr), daemon=True)
        self._reader.start()

    def signal(self, number: signal.Signals) -> int:
        """Send a signal, wait for the end, return the exit code."""
        assert self.process is not None
        self.process.send_signal(number)
        code = self.process.wait(30)
        assert self._reader is not None
        self._reader.join(10)
        assert self.process.stderr is not None
        self.process.stderr.close()
        self.process = None
        return code

    def kill(self) -> None:
        """SIGKILL."""
        self.signal(signal.SIGKILL)

    def stop(self) -> int:
        """SIGTERM; returns the exit code."""
        return self.signal(signal.SIGTERM)

    def close(self) -> None:
        """Leave nothing running."""
        if self.process is not None:
            self.kill()

    def ask(self, name: str, /, **args: Any) -> Any:
        """Ask over the control socket."""
        return trio.run(self.ask_async, name, args)

    async def ask_async(self, name: str, args: dict[str, Any]) -> Any:
        """Ask over the control socket, from Trio."""
        async with connect_control(Path(self.about["control"])) as client:
            return await client.call(name, **args)


@contextmanager
def serving_inside(
    namespace: str, state: Path, address: str, *arguments: str, key: str, port: int = 0
) -> Iterator[ServerProcess]:
    """Serve at an address of a network namespace until the block ends, with this mass-deployment key."""
    options = ("--listen", address, "--allow-remote", *QUICK_KEYS, *arguments)
    server = ServerProcess(state, options, port=port, inside=("ip", "netns", "exec", namespace))
    try:
        server.start()
        server.ask("keys.create", kind="mass", chosen=key)
        yield server
    finally:
        server.close()


def _port(addresses: Sequence[str]) -> int:
    return int(addresses[0].rpartition(":")[2]) if addresses else 0


def run_umslab(
    *arguments: str, cwd: Path | None = None, stdin: str = "", environment: Mapping[str, str] | None = None
) -> Any:
    """Run the command to its end; returns the completed process with text output."""
    return subprocess.run(
        [*UMSLAB, *arguments],
        input=stdin,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
        cwd=cwd,
        env=clean_environment() | dict(environment or {}),
    )
