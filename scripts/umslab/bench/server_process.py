# SPDX-License-Identifier: Apache-2.0
"""The server of a benchmark as users start it: `umslab serve` in a process of its own, watched by its metrics."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from http.client import HTTPConnection
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import trio
from prometheus_client.parser import text_string_to_metric_families

from umslab.bench.worker import PAGE
from umslab_runtime.control import connect_control

_START_SECONDS = 60.0
_QUICK = ("certificates.root_key=p-256", "certificates.web_key=p-256")


class ServerProcess:
    """`umslab serve` on a state folder; it is ready when this is made."""

    def __init__(self, state: Path, *arguments: str) -> None:
        self._state = state
        ready = state / "ready.json"
        state.mkdir(parents=True, exist_ok=True)
        ready.unlink(missing_ok=True)
        command = [sys.executable, "-m", "umslab", "serve", "--state", str(state), "--port", "0", "--metrics", "0"]
        command += ["--ready-file", str(ready), "--log-level", "error", *arguments]
        command += [word for setting in _QUICK for word in ("--set", setting)]
        self._process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)  # noqa: S603
        assert self._process.stderr is not None
        for line in self._process.stderr:
            if "state folder" in line:
                break
        else:
            raise RuntimeError("`umslab serve` did not start")
        self._about: dict[str, Any] = json.loads(ready.read_text())
        self.port = int(self._about["addresses"][0].rpartition(":")[2])
        self.root = Path(self._about["root"])

    def ask(self, name: str, /, **args: Any) -> Any:
        """Ask over the control socket."""

        async def call() -> Any:
            async with connect_control(Path(self._about["control"])) as client:
                return await client.call(name, **args)

        return trio.run(call)

    def listing_seconds(self) -> float:
        """How long `umslab ctl devices list` takes, its own start included."""
        command = [sys.executable, "-m", "umslab", "ctl", "devices", "list", "--state", str(self._state)]
        began = time.perf_counter()
        subprocess.run(command, stdout=subprocess.DEVNULL, check=True)  # noqa: S603
        return time.perf_counter() - began

    def resident(self) -> int:
        """Resident memory in bytes."""
        return int(Path(f"/proc/{self._process.pid}/statm").read_text().split()[1]) * PAGE

    def cpu_seconds(self) -> float:
        """CPU time so far, of the process and the kernel for it."""
        fields = Path(f"/proc/{self._process.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / 100

    def metrics(self) -> dict[str, dict[str, float]]:
        """Scrape: name of the sample -> labels in one string -> value."""
        url = urlsplit(self._about["metrics"])
        connection = HTTPConnection(url.hostname or "", url.port, timeout=30)
        connection.request("GET", url.path)
        text = connection.getresponse().read().decode()
        connection.close()
        found: dict[str, dict[str, float]] = {}
        for family in text_string_to_metric_families(text):
            for sample in family.samples:
                found.setdefault(sample.name, {})[",".join(sample.labels.values())] = sample.value
        return found

    def lag(self) -> dict[str, float]:
        """The buckets of the event-loop lag: upper bound -> how many were at most so late, since the start."""
        return self.metrics()["umslab_event_loop_lag_seconds_bucket"]

    def stop(self) -> None:
        """End it in order."""
        self._process.send_signal(signal.SIGTERM)
        try:
            self._process.wait(60)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        assert self._process.stderr is not None
        self._process.stderr.close()


def percentile_between(before: dict[str, float], after: dict[str, float], percent: float) -> float:
    """The percentile of what a histogram counted between two scrapes, in seconds, interpolated within its bucket."""
    counted = {float(bound): after[bound] - before[bound] for bound in after}
    wanted = counted[float("inf")] * percent / 100
    lower, below = 0.0, 0.0
    for bound, so_far in sorted(counted.items()):
        if so_far >= wanted:
            return (
                lower if bound == float("inf") else lower + (bound - lower) * (wanted - below) / (so_far - below or 1)
            )
        lower, below = bound, so_far
    return lower
