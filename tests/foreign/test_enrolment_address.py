# SPDX-License-Identifier: Apache-2.0
"""S7 with nginx: one listener for enrolment that never asks for client certificates, another one for sessions."""

from __future__ import annotations

from typing import TYPE_CHECKING

from .nginx import address_of, enrolling, listening, passing_through
from .openssl import Identity
from .strangers import in_background
from .ums import MASS_KEY, UMSLAB, running_ums

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

PREFIX = "/onboarding/est"


def _statuses(log: Path) -> Iterator[tuple[str, str]]:
    """Operation and HTTP status of each request that the proxy has answered."""
    for line in log.read_text().splitlines():
        words = line.split('"')
        yield words[1].split()[1].rpartition("/")[2], words[2].split()[0]


def test_a_device_enrols_by_one_listener_and_connects_by_the_other(tmp_path: Path) -> None:
    """With a key it is told where to enrol by its user; the renewal, which needs its certificate, goes to the UMS."""
    with listening() as listener:
        where = f"{address_of(listener)}{PREFIX}"
        with (
            running_ums(tmp_path / "ums", f'connectors.enrolment_address="{where}"') as ums,
            passing_through(tmp_path / "stream", ums.address) as connector,
            enrolling(
                tmp_path / "http",
                Identity(*[ums.state / "server" / "web" / "web.pem"] * 2),
                PREFIX,
                ums.address,
                listener,
            ) as log,
            in_background(
                *(UMSLAB, "device", connector, "--enrol-at", where, "--auth-key", MASS_KEY, "--token", ums.token),
                *("--state", tmp_path / "device"),
            ) as device,
        ):
            at, _ = device.wait_for(rf"enrolment at {where}")
            (known,) = ums.call("devices.list")
            ums.call(
                "command.start", command="checkreenroll", parameters={"force": "true"}, selector={"everyone": True}
            )
            at, _ = device.wait_for("checkreenroll: SUCCESS", after=at)
            device.wait_for("managed", after=at)
            shown = ums.call("devices.show", unit_id=known["unit_id"])

            assert [("cacerts", "200"), ("simpleenroll", "200"), ("simplereenroll", "403")] == list(_statuses(log))
            assert ["active", "superseded"] == sorted(one["state"] for one in shown["certificates"])


def test_a_device_that_registers_automatically_is_told_where(tmp_path: Path) -> None:
    """It asks the UMS for a token, and uses it at the address that came with it."""
    with listening() as listener:
        settings = (f'connectors.enrolment_address="{address_of(listener)}{PREFIX}"', "enrolment.automatic=true")
        with (
            running_ums(tmp_path / "ums", *settings) as ums,
            enrolling(
                tmp_path / "http",
                Identity(*[ums.state / "server" / "web" / "web.pem"] * 2),
                PREFIX,
                ums.address,
                listener,
            ) as log,
            in_background(
                *(UMSLAB, "device", ums.address, "--sources", "command-line", "--token", ums.token),
                *("--state", tmp_path / "device"),
            ) as device,
        ):
            device.wait_for("managed")

            assert [("simpleenroll", "200")] == list(_statuses(log))
