# SPDX-License-Identifier: Apache-2.0
"""Leases that the DHCP clients of a machine left: dhclient, systemd-networkd, NetworkManager. Looking needs no root."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from umslab.dhcp.lease_files import LeaseFileError
from umslab.dhcp.samples import Sample, UnreadableError, read_file, read_samples

if TYPE_CHECKING:
    from pathlib import Path

PLACES = (
    "var/lib/dhcp/dhclient*.lease*",
    "var/lib/dhclient/*.lease*",
    "run/systemd/netif/leases/*",
    "var/lib/NetworkManager/*.lease",
    "run/NetworkManager/devices/*.lease",
)
MAX_FILES = 1000


@dataclass(slots=True)
class FoundLeases:
    """What was found below a root, and what could not be read, with the reason."""

    found: list[tuple[Path, Sample]] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)


def find_leases(root: Path) -> FoundLeases:
    """Look where the clients keep their leases; never raises."""
    result = FoundLeases()
    for pattern in PLACES:
        folder = (root / pattern).parent
        try:
            paths = sorted(path for path in folder.glob(pattern.rpartition("/")[2]) if path.is_file())[:MAX_FILES]
            if folder.is_dir():
                next(folder.iterdir(), None)  # a folder one may not look into gives an empty glob
        except OSError as error:
            result.problems.append(f"{folder}: {error.strerror or error}")
            continue
        for path in paths:
            _read(path, result)
    return result


def _read(path: Path, result: FoundLeases) -> None:
    try:
        data = read_file(path)
        if data.strip():
            result.found += [(path, sample) for sample in read_samples(data).found]
    except UnreadableError as error:
        text = str(error)
        result.problems.append(text if text.startswith(str(path)) else f"{path}: {text}")
    except LeaseFileError as error:
        result.problems.append(f"{path}: {error}")
