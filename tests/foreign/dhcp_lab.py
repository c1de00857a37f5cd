# SPDX-License-Identifier: Apache-2.0
"""A LAN of two namespaces for one real DHCP server and those who ask it; nothing leads out of it."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from contextlib import contextmanager
from dataclasses import dataclass
from ipaddress import IPv4Network
from typing import TYPE_CHECKING, Any

from umslab_protocol.wire.dhcp_options import Option

from .strangers import Daemon, Finished, in_background, missing, run

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

SERVER, CLIENT, SUBNET = "10.77.0.1", "10.77.0.2", "10.77.0.0"
POOL = ("10.77.0.100", "10.77.0.150")


@dataclass(frozen=True)
class Pool:
    """What a server may give away, and to whom it listens."""

    first: str = POOL[0]
    last: str = POOL[1]
    subnet: str = SUBNET
    prefix: int = 24
    direct: bool = False
    """Kea hears devices on the link, and not only relays."""
    seconds: int = 3600

    @property
    def mask(self) -> str:
        """The subnet mask in dots."""
        return str(IPv4Network(f"{self.subnet}/{self.prefix}").netmask)


READY = {
    "dnsmasq": r"DHCP, IP range|started",
    "dhcpd": r"Server starting service|Sending on",
    "kea": r"DHCP4_STARTED",
}


@dataclass(frozen=True)
class Lan:
    """The names of two namespaces with an `eth0` each."""

    server: str
    client: str

    def ask(self, firmware: str) -> list[Option]:
        """Lease with our client, as a relay would; what the server acknowledged."""
        asking = (sys.executable, "-m", "tests.foreign.dhcp_ask", CLIENT, SERVER, firmware)
        done = run("ip", "netns", "exec", self.client, *asking)
        pairs = [line.partition("=") for line in done.out.splitlines()]
        return [Option(int(code), bytes.fromhex(value)) for code, _, value in pairs]

    def umslab(self, *arguments: str | Path, exit_code: int = 0) -> dict[str, Any]:
        """What `umslab dhcp lease --json` says in the namespace of the client."""
        verb = (sys.executable, "-m", "umslab", "dhcp", "lease", *arguments, "--json")
        done = run("ip", "netns", "exec", self.client, *verb, check=False)
        assert exit_code == done.code, done.out + done.err
        return dict(json.loads(done.out)["lease"])


@contextmanager
def lan(prefix: str = "umslab-dhcp-") -> Iterator[Lan]:
    """Make two joined namespaces and remove them; skipped where that is not allowed.

    Names that do not begin with `umslab-` make what umslab takes for the network of somebody else.
    """
    if os.geteuid() != 0 or shutil.which("ip") is None:
        missing("network namespaces need root and ip")
    names = Lan(f"{prefix}s{os.getpid()}", f"{prefix}c{os.getpid()}")
    made: list[str] = []
    try:
        for name in (names.server, names.client):
            done = subprocess.run(["ip", "netns", "add", name], capture_output=True, check=False)
            if done.returncode != 0:
                missing("network namespaces are not allowed here")
            made.append(name)
        peer = ("type", "veth", "peer", "name", "eth0", "netns", names.client)
        run("ip", "-n", names.server, "link", "add", "eth0", *peer)
        for name, address in ((names.server, SERVER), (names.client, CLIENT)):
            run("ip", "-n", name, "addr", "add", f"{address}/24", "dev", "eth0")
            for link in ("lo", "eth0"):
                run("ip", "-n", name, "link", "set", link, "up")
        yield names
    finally:
        for name in made:
            run("ip", "netns", "del", name)


def check(kind: str, snippet: str, folder: Path) -> Finished:
    """Let the real program read a configuration, without starting it."""
    return run(*_command(kind, _whole(kind, snippet, folder, Pool()), folder, test=True), env=_environment(folder))


@contextmanager
def serving(kind: str, snippet: str, folder: Path, where: Lan, pool: Pool | None = None) -> Iterator[Daemon]:
    """Run the real server in its namespace until the block ends."""
    argv = _command(kind, _whole(kind, snippet, folder, pool or Pool()), folder, test=False)
    with in_background("ip", "netns", "exec", where.server, *argv, env=_environment(folder)) as daemon:
        daemon.wait_for(READY[kind])
        yield daemon


def _environment(folder: Path) -> dict[str, str]:
    return {"KEA_LOCKFILE_DIR": str(folder), "KEA_PIDFILE_DIR": str(folder), "KEA_LOGGER_DESTINATION": "stdout"}


def _command(kind: str, configuration: Path, folder: Path, *, test: bool) -> Sequence[str | Path]:
    if kind == "dnsmasq":
        return ("dnsmasq", "-C", configuration, "--test" if test else "--no-daemon")
    if kind == "dhcpd":
        leases, pid = folder / "dhcpd.leases", folder / "dhcpd.pid"
        leases.touch()
        start: tuple[str | Path, ...] = ("-t",) if test else ("-f", "-d", "-lf", leases, "-pf", pid)
        return ("dhcpd", "-4", *start, "-cf", configuration, *(() if test else ("eth0",)))
    return ("kea-dhcp4", "-t" if test else "-c", configuration)


def _whole(kind: str, snippet: str, folder: Path, pool: Pool) -> Path:
    """What was printed, with the few lines around it that every server needs."""
    file = folder / f"{kind}.conf"
    first, last = pool.first, pool.last
    if kind == "dnsmasq":
        around = (
            "port=0\nno-ping\nno-resolv\nno-hosts\ninterface=eth0\nlog-facility=-\nuser=root\n"
            f"pid-file={folder}/dnsmasq.pid\ndhcp-leasefile={folder}/dnsmasq.leases\n"
            f"dhcp-range={first},{last},{pool.mask},{pool.seconds}\ndhcp-lease-max=5000\n"
        )
        file.write_text(snippet + around)
    elif kind == "dhcpd":
        file.write_text(
            f"{snippet}authoritative;\ndefault-lease-time {pool.seconds};\nmax-lease-time {pool.seconds};\n"
            f"subnet {pool.subnet} netmask {pool.mask} {{ range {first} {last}; }}\n"
        )
    else:
        file.write_text(json.dumps(_kea(snippet, folder, pool)))
    return file


def _kea(snippet: str, folder: Path, pool: Pool) -> dict[str, Any]:
    printed = json.loads(re.sub(r"(?m)^//.*$", "", snippet))
    subnet = {
        "id": 1,
        "subnet": f"{pool.subnet}/{pool.prefix}",
        "pools": [{"pool": f"{pool.first} - {pool.last}"}],
        "valid-lifetime": pool.seconds,
        "authoritative": True,
    }
    printed["Dhcp4"] |= {
        "interfaces-config": {"interfaces": ["eth0"], "dhcp-socket-type": "raw" if pool.direct else "udp"},
        "lease-database": {"type": "memfile", "persist": True, "name": str(folder / "kea.leases")},
        "subnet4": [subnet],
        "loggers": [{"name": "kea-dhcp4", "output_options": [{"output": "stdout"}], "severity": "INFO"}],
        "multi-threading": {"enable-multi-threading": False},
    }
    return dict(printed)
