# SPDX-License-Identifier: Apache-2.0
"""The LAN of `umslab demo --discovery`: two joined network namespaces, and a real dnsmasq in one of them.

Nothing leads out of it. The names begin with `umslab-`, the marker of what umslab may use freely (namespaces.py).
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import trio

from umslab.demo.process import DemoFailedError, start_process
from umslab_runtime.namespaces import MADE_PREFIX

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

SERVER, CLIENT, PREFIX = "10.77.0.1", "10.77.0.2", 24
POOL = ("10.77.0.100", "10.77.0.150")
DOMAIN = "lab.example"
_PROGRAMS = {"ip": "iproute2", "dnsmasq": "dnsmasq-base"}
_PATH = f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin"
_START_SECONDS = 30.0


def what_is_missing() -> list[str]:
    """What this machine lacks for the LAN, in sentences."""
    missing = []
    if not sys.platform.startswith("linux"):
        missing.append("network namespaces are a thing of Linux")
    elif os.geteuid() != 0:
        missing.append("network namespaces need root")
    for program, package in _PROGRAMS.items():
        if shutil.which(program, path=_PATH) is None:
            missing.append(f"{program} is not installed (Debian: {package})")
    return missing


@dataclass
class Lan:
    """Two namespaces with an `eth0` each, made by `make` and gone after `remove`."""

    server: str = field(default_factory=lambda: f"{MADE_PREFIX}demo-s{os.getpid()}")
    client: str = field(default_factory=lambda: f"{MADE_PREFIX}demo-c{os.getpid()}")
    _made: list[str] = field(default_factory=list)

    def make(self) -> None:
        """Make it; raises `DemoFailedError` where that is not allowed."""
        for name in (self.server, self.client):
            _ip("netns", "add", name)
            self._made.append(name)
        _ip("-n", self.server, "link", "add", "eth0", "type", "veth", "peer", "name", "eth0", "netns", self.client)
        for name, address in ((self.server, SERVER), (self.client, CLIENT)):
            _ip("-n", name, "addr", "add", f"{address}/{PREFIX}", "dev", "eth0")
            for link in ("lo", "eth0"):
                _ip("-n", name, "link", "set", link, "up")

    def remove(self) -> None:
        """Leave nothing of it, whatever happened."""
        while self._made:
            _ip("netns", "del", self._made.pop(), check=False)


def inside(name: str) -> tuple[str, ...]:
    """What stands before a command that runs in this namespace."""
    return (_find("ip"), "netns", "exec", name)


class Dnsmasq:
    """The DHCP and name server of the LAN; one at a time."""

    def __init__(self, lan: Lan, folder: Path) -> None:
        self._lan = lan
        self._folder = folder
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def leases(self) -> str:
        """Its lease file."""
        file = self._folder / "leases"
        return file.read_text() if file.exists() else ""

    async def restart(self, snippet: str = "", *, pool: Sequence[str] = POOL, dns: bool = False) -> None:
        """Start it anew with these lines; with `dns`, clients are told to ask it for names.

        Raises `DemoFailedError`.
        """
        self.stop()
        log, config = self._folder / "dnsmasq.log", self._folder / "dnsmasq.conf"
        config.write_text(snippet + "\n".join(self._fixed(pool, dns=dns)) + "\n")
        with log.open("wb") as output:
            command = [*inside(self._lan.server), _find("dnsmasq"), "-C", str(config), "--no-daemon"]
            self._process = start_process(command, output)
        with trio.move_on_after(_START_SECONDS):
            while "DHCP, IP range" not in log.read_text():
                if self._process.poll() is not None:
                    raise DemoFailedError(f"dnsmasq ended at once:\n{log.read_text()}")
                await trio.sleep(0.02)
            return
        raise DemoFailedError(f"dnsmasq was not ready within {_START_SECONDS:g} s")

    def stop(self) -> None:
        """Stop it, and wait until it is gone."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None

    def _fixed(self, pool: Sequence[str], *, dns: bool) -> list[str]:
        names = [f"dhcp-option=6,{SERVER}", f"dhcp-option=option:domain-search,{DOMAIN}"] if dns else ["dhcp-option=6"]
        return [
            *names,
            *("no-ping", "no-resolv", "no-hosts", "interface=eth0", "except-interface=lo", "bind-interfaces"),
            *("user=root", "log-facility=-", "local=/igelrmserver/"),
            f"host-record=igelrmserver.{DOMAIN},{SERVER}",
            f"pid-file={self._folder}/dnsmasq.pid",
            f"dhcp-leasefile={self._folder}/leases",
            f"dhcp-range={pool[0]},{pool[1]},255.255.255.0,3600",
        ]


def _find(program: str) -> str:
    return shutil.which(program, path=_PATH) or program


def _ip(*arguments: str, check: bool = True) -> None:
    done = subprocess.run(  # noqa: S603 - one argument list, no shell
        [_find("ip"), *arguments], capture_output=True, text=True, check=False
    )
    if check and done.returncode != 0:
        said = f"ip {' '.join(arguments)}: {done.stderr.strip()}"
        raise DemoFailedError(f"this machine makes no network namespace: {said}")
