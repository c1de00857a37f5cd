# SPDX-License-Identifier: Apache-2.0
"""What this machine has for a fleet."""

from __future__ import annotations

import os
import resource
from pathlib import Path

from umslab_agent.fleet.resources import MOST_DESCRIPTORS, PORTS_OF_AN_ADDRESS, Machine

_PORT_RANGE = Path("/proc/sys/net/ipv4/ip_local_port_range")
_MEMORY = Path("/proc/meminfo")
_GROUP_LIMIT = Path("/sys/fs/cgroup/memory.max")
_UNKNOWN_MEMORY = 1024**3


def this_machine() -> Machine:
    """Look at cores, free memory, and the limits on descriptors and ports."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    return Machine(
        cores=len(os.sched_getaffinity(0)),
        memory_bytes=free_memory(_read(_MEMORY), _read(_GROUP_LIMIT)),
        descriptors=MOST_DESCRIPTORS if hard == resource.RLIM_INFINITY else min(hard, MOST_DESCRIPTORS),
        ports=port_count(_read(_PORT_RANGE)),
    )


def raise_descriptor_limit() -> int:
    """Let this process open as many descriptors as it may; returns how many that are."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != hard:
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    return hard


def free_memory(meminfo: str, group_limit: str) -> int:
    """Return bytes: what the kernel calls available, or the limit of the control group when that is less."""
    found = [line.split()[1] for line in meminfo.splitlines() if line.startswith("MemAvailable:")]
    free = int(found[0]) * 1024 if found and found[0].isdecimal() else _UNKNOWN_MEMORY
    return min(free, int(group_limit)) if group_limit.strip().isdecimal() else free


def port_count(port_range: str) -> int:
    """Return how many ports the system lends to callers of one address."""
    parts = port_range.split()
    if len(parts) == 2 and all(part.isdecimal() for part in parts):
        return max(1, int(parts[1]) - int(parts[0]) + 1)
    return PORTS_OF_AN_ADDRESS


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="ascii", errors="replace")
    except OSError:
        return ""
