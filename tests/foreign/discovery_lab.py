# SPDX-License-Identifier: Apache-2.0
"""A UMS, a name server and devices that look for it, in the two namespaces of dhcp_lab.py."""

from __future__ import annotations

import json
import sys
from contextlib import AbstractContextManager, contextmanager
from typing import TYPE_CHECKING, Any

from .dhcp_lab import SERVER, Lan
from .strangers import Daemon, Finished, in_background, run

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

UMSLAB = (sys.executable, "-m", "umslab")
QUICK = ("certificates.root_key=p-256", "certificates.web_key=p-256", "os11.key=p-256")


@contextmanager
def dns(where: Lan, folder: Path, *lines: str, address: str = SERVER) -> Iterator[Daemon]:
    """Run dnsmasq as a name server until the block ends."""
    file = folder / "dns.conf"
    fixed = (
        "no-resolv",
        "no-hosts",
        f"listen-address={address}",
        "bind-interfaces",
        "log-facility=-",
        "user=root",
        "local=/igelrmserver/",
    )
    file.write_text("\n".join([*fixed, f"pid-file={folder}/dns.pid", *lines]) + "\n")
    with in_background("ip", "netns", "exec", where.server, "dnsmasq", "-C", file, "--no-daemon") as daemon:
        daemon.wait_for("started")
        yield daemon


@contextmanager
def ums(where: Lan, folder: Path, *settings: str, listen: str = SERVER, more: Sequence[str] = ()) -> Iterator[Daemon]:
    """Run our UMS beside it, with these further words."""
    options = [word for setting in (*QUICK, *settings) for word in ("--set", setting)]
    serve: tuple[str | Path, ...] = (
        *UMSLAB,
        "serve",
        "--state",
        folder / "ums",
        "--listen",
        listen,
        "--allow-remote",
        *options,
        *more,
    )
    with in_background("ip", "netns", "exec", where.server, *serve) as daemon:
        daemon.wait_for("state folder")
        yield daemon


def device(where: Lan, folder: Path, *options: str) -> Finished:
    """Run a device on the other machine until it is managed, or fails."""
    how: tuple[str | Path, ...] = ("device", "--state", folder / "device", "--once", "--json", *options)
    return run("ip", "netns", "exec", where.client, *UMSLAB, *how, check=False)


def looking(where: Lan, folder: Path, *options: str) -> AbstractContextManager[Daemon]:
    """Run a device until the block ends."""
    how: tuple[str | Path, ...] = ("device", "--state", folder / "device", *options)
    return in_background("ip", "netns", "exec", where.client, *UMSLAB, *how)


def told(done: Finished) -> list[dict[str, Any]]:
    """What the device said."""
    return [json.loads(line) for line in done.out.splitlines()]


def reasons(done: Finished, source: str = "dns") -> list[str]:
    """What it decided about a source."""
    return [
        one["data"]["reason"]
        for one in told(done)
        if one.get("event") == "discovery" and source == one["data"]["source"]
    ]


def dhcp_reasons(done: Finished) -> list[str]:
    """What its DHCP client told."""
    return [one["data"]["reason"] for one in told(done) if one.get("event") == "dhcp"]
