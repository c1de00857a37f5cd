# SPDX-License-Identifier: Apache-2.0
"""What `scripts/bench dhcp` needs around it: two joined network namespaces, Kea in one of them, and perfdhcp."""

from __future__ import annotations

import json
import math
import os
import re
import shutil
import subprocess
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

SERVER, CLIENT, PREFIX = "10.77.0.1", "10.77.0.2", 16
POOL = "10.77.1.0 - 10.77.254.255"
POOL_SIZE = 254 * 256
MAX_LOST = 0.01
FAR_BEHIND = 4
"""So many times faster than it is reached a rate is not tried."""
WAIT_SECONDS = 0.5
"""For the last answers."""
RUN_SECONDS = 120.0
_SEARCH = f"{os.environ.get('PATH', '')}:/usr/sbin"


@dataclass(frozen=True)
class Lan:
    """The names of two namespaces with an `eth0` each."""

    server: str
    client: str


def find(program: str) -> str:
    """Where a program is; ends the benchmark with a sentence when it is not there."""
    found = shutil.which(program, path=_SEARCH)
    if found is None:
        raise SystemExit(f"this benchmark needs {program}: scripts/foreign installs it")
    return found


@contextmanager
def lan() -> Iterator[Lan]:
    """Make the namespaces and remove them; needs root."""
    ip, names = find("ip"), Lan(f"umslab-bench-s{os.getpid()}", f"umslab-bench-c{os.getpid()}")
    made: list[str] = []
    try:
        for name in (names.server, names.client):
            _run(ip, "netns", "add", name)
            made.append(name)
        _run(ip, "-n", names.server, "link", "add", "eth0", "type", "veth", "peer", "eth0", "netns", names.client)
        for name, address in ((names.server, SERVER), (names.client, CLIENT)):
            _run(ip, "-n", name, "addr", "add", f"{address}/{PREFIX}", "dev", "eth0")
            for link in ("lo", "eth0"):
                _run(ip, "-n", name, "link", "set", link, "up")
        yield names
    finally:
        for name in made:
            _run(ip, "netns", "del", name)


def _run(*command: str) -> None:
    done = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603
    if done.returncode:
        raise SystemExit(f"this benchmark makes network namespaces, and cannot: {done.stderr.strip()}")


@contextmanager
def kea(where: Lan, folder: Path) -> Iterator[None]:
    """Run Kea with leases in memory until the block ends: its disk is not what is measured."""
    loggers = [("kea-dhcp4", "WARN"), ("kea-dhcp4.dhcp4", "INFO")]
    configuration = {
        "interfaces-config": {"interfaces": ["eth0"], "dhcp-socket-type": "udp"},
        "lease-database": {"type": "memfile", "persist": False},
        "subnet4": [{"id": 1, "subnet": f"10.77.0.0/{PREFIX}", "pools": [{"pool": POOL}], "valid-lifetime": 3600}],
        "multi-threading": {"enable-multi-threading": False},
        "loggers": [
            {"name": name, "severity": severity, "output_options": [{"output": "stdout"}]} for name, severity in loggers
        ],
    }
    file = folder / "kea.json"
    file.write_text(json.dumps({"Dhcp4": configuration}))
    command = [find("ip"), "netns", "exec", where.server, find("kea-dhcp4"), "-c", str(file)]
    places = {"KEA_LOCKFILE_DIR": str(folder), "KEA_PIDFILE_DIR": str(folder)}
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env={**os.environ, **places}) as process:  # noqa: S603
        try:
            assert process.stdout is not None
            if not any("DHCP4_STARTED" in line for line in process.stdout):
                raise SystemExit("Kea did not start; what it said is above")
            yield
        finally:
            process.terminate()


def perfdhcp(where: Lan, *, count: int, first_mac: int, start: float) -> float:
    """The best rate at which perfdhcp gets its leases: doubled until more than one in a hundred exchanges is lost."""
    best, rate = 0.0, start
    while True:
        reached, lost = _perfdhcp(where, count, first_mac, rate)
        if lost > MAX_LOST or reached < rate / FAR_BEHIND:
            return best
        best = max(best, reached)
        rate *= 2
        first_mac += count


def _perfdhcp(where: Lan, count: int, first_mac: int, rate: float) -> tuple[float, float]:
    """Exchanges a second, and the part that was lost."""
    mac = ":".join(re.findall("..", f"{first_mac:012x}"))
    command = [find("ip"), "netns", "exec", where.client, find("perfdhcp"), "-4", "-l", CLIENT, "-b", f"mac={mac}"]
    command += ["-R", str(count), "-n", str(count), "-r", f"{rate:.0f}", "-W", str(int(WAIT_SECONDS * 1e6)), SERVER]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=RUN_SECONDS)  # noqa: S603
    reached = re.search(r"^Rate: ([\d.]+)", done.stdout, re.MULTILINE)
    sent = re.findall(r"^sent packets: (\d+)", done.stdout, re.MULTILINE)
    received = re.findall(r"^received packets: (\d+)", done.stdout, re.MULTILINE)
    if reached is None or len(received) < 2 or int(sent[0]) == 0:
        raise SystemExit(f"perfdhcp did not measure:\n{done.stdout}{done.stderr}")
    acknowledged, counted = int(received[1]), float(reached[1])
    seconds = acknowledged / counted - WAIT_SECONDS if counted else math.inf  # it counts the wait at the end
    return acknowledged / max(seconds, count / rate), 1 - acknowledged / int(sent[0])
