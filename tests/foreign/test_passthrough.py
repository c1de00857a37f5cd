# SPDX-License-Identifier: Apache-2.0
"""Our server and our device with nginx as a load balancer between them that leaves TLS alone."""

from __future__ import annotations

from typing import TYPE_CHECKING

from .curl import curl
from .nginx import passing_through
from .ums import EST_PATH, run_device

if TYPE_CHECKING:
    from pathlib import Path

    from .ums import Ums


def test_a_device_comes_on_board_through_it(ums: Ums, tmp_path: Path) -> None:
    """Trust, enrolment and session work from end to end, and the registry knows the device."""
    with passing_through(tmp_path / "nginx", ums.address) as address:
        cacerts = curl(f"https://{address}{EST_PATH}/cacerts", "--tlsv1.3", root=ums.root)
        finished, told = run_device(address, tmp_path / "device", ums.token)
        shown = ums.call("devices.show", unit_id=told["unit_id"])

    assert cacerts.status == 200
    assert finished.code == 0, finished
    assert told["managed"] is True
    assert shown["registered_at"] is not None
    assert [certificate["state"] for certificate in shown["certificates"]] == ["active"]
