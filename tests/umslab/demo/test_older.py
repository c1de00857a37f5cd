# SPDX-License-Identifier: Apache-2.0
"""Tests of umslab.demo.older; the demo itself is run by tests/umslab/cli/test_demo.py."""

from __future__ import annotations

from ipaddress import ip_address

from umslab.demo.older import own_address


def test_addresses_are_of_this_machine_and_of_one_demo() -> None:
    """Other processes and other devices have others, up to the greatest process number of Linux on small machines."""
    addresses = [own_address(process, number) for process in (1, 2, 64, 65, 16_383) for number in range(5)]

    assert len(set(addresses)) == len(addresses)
    assert all(ip_address(one).is_loopback for one in addresses)
