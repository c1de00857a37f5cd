# SPDX-License-Identifier: Apache-2.0
"""A fresh namespace with one cable that both ends are in, and how many packets have left through it."""

from __future__ import annotations

import json
import os
import secrets
import shutil
import subprocess
import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator

HERE, NEIGHBOUR = "192.168.77.2", "192.168.77.9"
QUIET = "for which in all default; do echo 1 > /proc/sys/net/ipv6/conf/$which/disable_ipv6; done"


def _ip(*arguments: str) -> str:
    done = subprocess.run(["ip", *arguments], capture_output=True, text=True, check=False)
    if done.returncode:
        raise OSError(f"ip {' '.join(arguments)}: {done.stderr.strip()}")
    return done.stdout


@contextmanager
def namespace(prefix: str) -> Iterator[str]:
    """Make a namespace with a cable; skipped where that is not possible."""
    if not sys.platform.startswith("linux") or os.geteuid() != 0 or shutil.which("ip") is None:
        pytest.skip("network namespaces need Linux, root and the program ip")
    name = f"{prefix}{secrets.token_hex(4)}"
    try:
        _ip("netns", "add", name)
    except OSError as error:
        pytest.skip(f"this machine makes no network namespace: {error}")
    try:
        _ip("netns", "exec", name, "sh", "-c", f"[ ! -d /proc/sys/net/ipv6 ] || {{ {QUIET}; }}")
        _ip("-n", name, "link", "add", "here", "type", "veth", "peer", "name", "there")
        for link in ("lo", "there", "here"):
            _ip("-n", name, "link", "set", link, "up")
        _ip("-n", name, "address", "add", f"{HERE}/24", "dev", "here")
        yield name
    finally:
        _ip("netns", "del", name)


def sent(name: str) -> int:
    """How many packets have left through the cable."""
    links = json.loads(_ip("-n", name, "-s", "-j", "link", "show"))
    return sum(int(link["stats64"]["tx"]["packets"]) for link in links if link["ifname"] != "lo")
