# SPDX-License-Identifier: Apache-2.0
"""What this machine has is read from the kernel, and sensible where the kernel says nothing."""

from __future__ import annotations

import resource

import pytest

from umslab.fleet.machine import free_memory, port_count, raise_descriptor_limit, this_machine
from umslab_agent.fleet.resources import MOST_DESCRIPTORS, PORTS_OF_AN_ADDRESS


def test_this_machine() -> None:
    """It has something of everything, and no more descriptors than a fleet's process uses."""
    found = this_machine()

    assert found.cores >= 1
    assert found.memory_bytes > 0
    assert 0 < found.descriptors <= MOST_DESCRIPTORS
    assert 0 < found.ports < 65_536


@pytest.mark.parametrize(
    ("meminfo", "group", "free"),
    [
        ("MemTotal: 9 kB\nMemAvailable:  2048 kB\n", "max\n", 2048 * 1024),
        ("MemAvailable: 2048 kB\n", "1000000\n", 1_000_000),
        ("MemAvailable: 2048 kB\n", "", 2048 * 1024),
        ("MemAvailable: x kB\n", "", 1024**3),
        ("", "5\n", 5),
    ],
)
def test_free_memory(meminfo: str, group: str, free: int) -> None:
    """The kernel's estimate, or the limit of the control group."""
    assert free == free_memory(meminfo, group)


@pytest.mark.parametrize(
    ("text", "count"), [("32768\t60999\n", 28_232), ("1024 1024", 1), ("", PORTS_OF_AN_ADDRESS), ("9 1", 1)]
)
def test_ports(text: str, count: int) -> None:
    """Both ends count."""
    assert count == port_count(text)


def test_the_soft_limit_is_raised() -> None:
    """To the hard one; and put back here."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(soft, 500), hard))
    try:
        assert hard == raise_descriptor_limit() == raise_descriptor_limit()
        assert (hard, hard) == resource.getrlimit(resource.RLIMIT_NOFILE)
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
