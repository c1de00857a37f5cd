# SPDX-License-Identifier: Apache-2.0
"""Tests of umslab_server.scan_report."""

from __future__ import annotations

import pytest

from tests.protocol.machines.test_scan import ANSWER, NONCE
from umslab_protocol.errors import InvalidValueError
from umslab_protocol.machines.scan import Scan
from umslab_protocol.wire.probes import write_scan_answer
from umslab_runtime.scanning import ScanPlan
from umslab_server.errors import RefusedError
from umslab_server.scan_report import hosts_of, progress_of, refuse_if_nobody_was_asked, report_of


def _scan(*hosts: str) -> tuple[Scan, ScanPlan]:
    return Scan(hosts, nonce=NONCE, reply_port=1), ScanPlan(hosts=hosts, port=1, seconds=1.0)


def test_without_a_range_everybody_is_asked() -> None:
    """The broadcast address of the configuration (N11)."""
    assert ["255.255.255.255"] == hosts_of([], "255.255.255.255", over_tcp=False)
    assert ["127.0.0.1", "127.0.0.2"] == hosts_of(["127.0.0.0/30"], "255.255.255.255", over_tcp=False)
    with pytest.raises(InvalidValueError):
        hosts_of(["x"], "255.255.255.255", over_tcp=False)
    with pytest.raises(InvalidValueError, match="name ranges"):
        hosts_of([], "255.255.255.255", over_tcp=True)


def test_report_has_what_a_scan_must_show() -> None:
    """N15, and how the registry knows the device: known, new, or nobody was asked."""
    scan, plan = _scan("127.0.0.1", "8.8.8.8")
    asked, refused = scan.output(0.0, 9)
    scan.withdraw(refused, "public")
    scan.receive(write_scan_answer(ANSWER), asked.host)

    assert (2, 2, 1, 0, 0) == progress_of(scan, plan)
    cases: list[tuple[dict[str, str] | None, str | None]] = [
        ({}, "new"),
        ({ANSWER.unit_id: "in-bin"}, "in-bin"),
        (None, None),
    ]
    for known, expected in cases:
        report = report_of(scan, 2, known)
        (device,) = report.devices
        assert (ANSWER.unit_id, ANSWER.mac, "ITC", "127.0.0.1", "p", "11.10.210", False, expected) == (
            device.unit_id, device.mac, device.name, device.address, device.product, device.firmware, device.has_ums,
            device.known,
        )  # fmt: skip
        assert (1, {"new": 1}, {"8.8.8.8": "public"}) == (report.asked, report.answers, report.refused)


def test_scan_that_could_ask_nobody_is_refused_with_the_reason() -> None:
    """And with a hint when it was to be a broadcast."""
    for host, hint in (("8.8.8.8", False), ("255.255.255.255", True)):
        scan, plan = _scan(host)
        for probe in scan.output(0.0, 9):
            scan.withdraw(probe, "because")
        with pytest.raises(RefusedError, match="nobody was asked: because") as caught:
            refuse_if_nobody_was_asked(scan, plan)
        assert hint == ("127.255.255.255" in str(caught.value))
    refuse_if_nobody_was_asked(*_scan("127.0.0.1"))
