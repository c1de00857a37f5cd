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
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from prometheus_client.parser import text_string_to_metric_families

from umslab.bench.command_process import CommandProcess, ask

if TYPE_CHECKING:
    from collections.abc import Iterable

KEY = "bench-key"
"""The mass-deployment key of devices."""
_QUICK = ("certificates.root_key=p-256", "certificates.web_key=p-256")


class ServerProcess(CommandProcess):
    """`umslab serve` on a state folder; it is ready when this is made."""

    def __init__(
        self, state: Path, *, port: int = 0, settings: Iterable[str] = (), service_model: Path | None = None
    ) -> None:
        """`port` 0 is any; a server after a restart has that of the one before."""
        self.state = state
        ready = state / "ready.json"
        state.mkdir(parents=True, exist_ok=True)
        ready.unlink(missing_ok=True)
        command = ["serve", "--state", str(state), "--port", str(port), "--metrics", "0"]
        command += ["--os11-port", "0", "--file-transfer-port", "0"]
        command += ["--ready-file", str(ready), "--log-level", "error"]
        command += [] if service_model is None else ["--service-model", str(service_model)]
        super().__init__(*command, *(word for setting in (*_QUICK, *settings) for word in ("--set", setting)))
        self.wait_for("state folder")
        self._about: dict[str, Any] = json.loads(ready.read_text())
        self.port = int(self._about["addresses"][0].rpartition(":")[2])
        self.os11_port = int(self._about["os11_addresses"][0].rpartition(":")[2])
        self.token = str(self._about["token"])
        self.control = Path(self._about["control"])

    def ask(self, name: str, /, **args: Any) -> Any:
        """Ask over the control socket."""
        return ask(self.control, name, **args)

    def count_managed(self) -> int:
        """How many devices are online, have said what they are, and have confirmed their settings."""
        listed = self.ask("devices.list")
        return sum(
            one["state"] == "online" and one["config_changes"] == "APPLIED" and bool(one["info"]) for one in listed
        )

    def listing_seconds(self) -> float:
        """How long `umslab ctl devices list` takes, its own start included."""
        command = [sys.executable, "-m", "umslab", "ctl", "devices", "list", "--state", str(self.state)]
        began = time.perf_counter()
        subprocess.run(command, stdout=subprocess.DEVNULL, check=True)  # noqa: S603
        return time.perf_counter() - began

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

    def received(self, message: str) -> float:
        """How many messages of this type devices have sent."""
        return self.metrics().get("umslab_messages_received_total", {}).get(message, 0.0)

    def mismatches(self) -> float:
        """How many hellos were of another device than the certificate's, since the start."""
        return self.metrics()["umslab_identity_mismatches_total"][""]

    def lag(self) -> dict[str, float]:
        """The buckets of the event-loop lag: upper bound -> how many were at most so late, since the start."""
        return self.metrics()["umslab_event_loop_lag_seconds_bucket"]

    def stop(self) -> None:
        """End it in order."""
        self.end(signal.SIGTERM)

    def kill(self) -> None:
        """End it as a power cut does."""
        self.end(signal.SIGKILL)


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
