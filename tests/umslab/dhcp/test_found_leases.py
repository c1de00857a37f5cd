# SPDX-License-Identifier: Apache-2.0
"""Tests of umslab.dhcp.found_leases."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from umslab.dhcp.found_leases import find_leases

if TYPE_CHECKING:
    from pathlib import Path

DHCLIENT = 'lease {\n interface "eth0";\n fixed-address 10.0.0.9;\n option unknown-224 "ums.example";\n}\n'
NETWORKD = "# This is private data. Do not parse.\nADDRESS=10.0.0.10\nOPTION_224=756d73\n"


@pytest.mark.parametrize(
    ("path", "text"),
    [
        ("var/lib/dhcp/dhclient.leases", DHCLIENT),
        ("var/lib/dhcp/dhclient.eth0.leases", DHCLIENT),
        ("var/lib/dhclient/dhclient--eth0.lease", DHCLIENT),
        ("run/systemd/netif/leases/2", NETWORKD),
        ("var/lib/NetworkManager/internal-5f0b-eth0.lease", NETWORKD),
        ("var/lib/NetworkManager/dhclient-5f0b-eth0.lease", DHCLIENT),
    ],
)
def test_places(tmp_path: Path, path: str, text: str) -> None:
    """Each client's file is found and read."""
    file = tmp_path / path
    file.parent.mkdir(parents=True)
    file.write_text(text)
    result = find_leases(tmp_path)

    assert [] == result.problems
    ((found, sample),) = result.found
    assert (file, {224}) == (found, {option.code for option in sample.options})


def test_problems_have_reasons(tmp_path: Path) -> None:
    """What cannot be read is named with its file; an empty file is no problem."""
    folder = tmp_path / "run/systemd/netif/leases"
    folder.mkdir(parents=True)
    (folder / "2").write_text("ADDRESS=10.0.0.10\nOPTION_224=xyz\n")
    (folder / "3").write_text("")
    (folder / "4").mkdir()
    result = find_leases(tmp_path)

    assert [] == result.found
    assert [f"{folder / '2'}: OPTION_224 is not in hexadecimal digits"] == result.problems


def test_places_that_are_no_folders(tmp_path: Path) -> None:
    """Nothing is there, or something else."""
    (tmp_path / "var").write_text("")

    assert ([], []) == (find_leases(tmp_path).found, find_leases(tmp_path / "none").problems)
