# SPDX-License-Identifier: Apache-2.0
"""The devices of a benchmark as users start them: `umslab fleet run` in a process of its own.

Its times are those of its own report, from the intended arrival of the first device: the start of the process and the
making of keys come before.
"""

from __future__ import annotations

import signal
from typing import TYPE_CHECKING, Any

import msgspec

from umslab.bench.command_process import CommandProcess, ask
from umslab.bench.server_process import KEY
from umslab.fleet.report_files import read_report
from umslab.fleet.steering import socket_of
from umslab_agent.fleet.measured import Condition

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from umslab.bench.server_process import ServerProcess
    from umslab_agent.fleet.report import RunReport

AT_ONCE = ("--at-once", "--outstanding", "32")
"""All devices want to come now; as many are on their way as connections are with the bare loops."""
STAY = ({"kind": "onboard", "within_seconds": 600}, {"kind": "steady", "seconds": 86_400})
"""Phases: come, and stay until the benchmark has seen enough."""


class FleetProcess(CommandProcess):
    """`umslab fleet run` against a server on this machine."""

    def __init__(
        self,
        server: ServerProcess,
        state: Path,
        *,
        devices: int,
        first_index: int = 0,
        arrivals: Sequence[str] = AT_ONCE,
        phases: Sequence[dict[str, Any]] = STAY,
        settings: Sequence[str] = (),
    ) -> None:
        """`state` keeps what devices have; devices that have a certificate there reconnect, others come on board."""
        self.devices = devices
        self.state = state
        self._report = state.with_suffix(".report.json")
        command = ["fleet", "run", f"localhost:{server.port}", "--plain", "--processes", "1", *arrivals]
        command += ["--devices", str(devices), "--first-index", str(first_index), "--auth-key", KEY]
        command += ["--state", str(state), "--server-state", str(server.state), "--report", str(self._report)]
        command += [word for setting in settings for word in ("--set", setting)]
        super().__init__(*command, "--set", f"phases={_toml(phases)}")

    def begins(self, number: int) -> None:
        """Wait until this phase of the run begins. Raises `RuntimeError` when the run ends before."""
        self.wait_for(f"phase {number}:")

    def managed(self) -> int:
        """How many devices say that they are managed now."""
        return int(ask(socket_of(self.state), "status")["levels"][Condition.MANAGED])

    def finish(self) -> RunReport:
        """Let the devices say goodbye, and return what was measured."""
        self.end(signal.SIGINT)
        return read_report(self._report)


def _toml(phases: Sequence[dict[str, Any]]) -> str:
    """An inline array of tables: JSON's values are TOML's, its colons are not."""
    tables = (
        ", ".join(f"{name} = {msgspec.json.encode(value).decode()}" for name, value in one.items()) for one in phases
    )
    return f"[{', '.join(f'{{{table}}}' for table in tables)}]"
