# SPDX-License-Identifier: Apache-2.0
"""A record is written, read back the same, and judged; what is no record is refused in a sentence."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from tests.support.fleet_runs import MACHINE, UMSLAB, run_report, storm
from umslab_agent.fleet.measured import Condition, Measured
from umslab_agent.fleet.report import (
    MAX_REPORT_BYTES,
    Backend,
    ReportError,
    RunReport,
    ShardRun,
    decode_report,
    encode_report,
    judge_thresholds,
    outcome,
)
from umslab_protocol.errors import InvalidValueError

THRESHOLDS = ("managed.p99 < 1h", "failed < 1%")


def _document(report: RunReport) -> Any:
    return msgspec.json.decode(encode_report(report))


def _written(document: Any) -> bytes:
    return msgspec.json.encode(document)


def test_there_and_back() -> None:
    """Nothing is lost, and the same bytes come again."""
    report = run_report(thresholds=THRESHOLDS)
    data = encode_report(report)

    assert report == decode_report(data)
    assert data == encode_report(decode_report(data))


def test_what_it_names() -> None:
    """Format, version, plan, machine and backend are there by name, for readers in any language."""
    document = _document(run_report())

    assert ("umslab-fleet-report", 1) == (document["format"], document["version"])
    assert ("umslab", "server-restart") == (document["backend"]["product"], document["plan"]["scenario"])
    assert "OpenSSL 3.0.22" == document["shards"][0]["machine"]["openssl"]
    assert document["measured"]["steps"]["tls"]["latency"].startswith("HI")


def test_a_simulation_is_named() -> None:
    """Against umslab it is one; against anything else nobody says so."""
    assert UMSLAB.simulated
    assert not Backend("ums.example", "Apache-Coyote").simulated


def _unfinished(**changes: Any) -> Measured:
    return msgspec.structs.replace(storm(), **changes)


def test_outcomes() -> None:
    """Thresholds decide; without any, every device has to be managed once, and none lost at the end."""
    lost = storm()
    lost.conditions[Condition.OFFLINE].add(90.0)

    assert (0, False) == msgspec.structs.astuple(outcome(run_report()))
    assert (0, True) == msgspec.structs.astuple(outcome(run_report(_unfinished(managed_once=59))))
    assert (0, True) == msgspec.structs.astuple(outcome(run_report(lost)))
    assert (0, True) == msgspec.structs.astuple(outcome(run_report(Measured())))
    assert (0, False) == msgspec.structs.astuple(
        outcome(run_report(_unfinished(managed_once=59), thresholds=("managed > 90%",)))
    )
    assert (1, False) == msgspec.structs.astuple(outcome(run_report(thresholds=("managed.p99 < 1us", "failed < 1%"))))


def test_an_interrupted_run_has_not_succeeded() -> None:
    """Whatever its thresholds say about the part that ran."""
    report = run_report(thresholds=THRESHOLDS)
    stopped = ShardRun(1, "2026-01-01T08:00:00Z", 9.0, MACHINE, interrupted=True)

    assert outcome(msgspec.structs.replace(report, shards=[stopped])).failed


def test_missing_shards() -> None:
    """Those that are not in it are named."""
    assert [1, 3] == run_report(number=2, of=3).missing
    assert [] == run_report().missing


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ({"format": "other"}, "no report of a fleet run"),
        ({"version": 2}, "version 2; this umslab reads version 1"),
        ({"surprise": 1}, "unknown field"),
        ({"shards": []}, "length >= 1"),
        ({"of_shards": 0}, ">= 1"),
        ({"backend": {"target": "x" * 201}}, "length <= 200"),
        ({"plan": 7}, "object"),
        ({"measured": {"devices": -1}}, ">= 0"),
        ({"measured": {"devices": 2**60}}, "<= "),
        ({"measured": {"seconds": 1e300}}, "<= "),
        ({"measured": {"steps": {"lunch": {}}}}, "Invalid enum"),
        ({"measured": {"steps": {"tls": {"latency": "no"}}}}, "base64"),
        ({"measured": {"steps": {"tls": {"latency": 7}}}}, "text of a histogram"),
        ({"measured": {"conditions": {"managed": {"doublings": 99}}}}, "<= 40"),
        ({"measured": {"conditions": {"managed": {"bins": [0] * 1025}}}}, "length <= 1024"),
        ({"measured": {"generators": [{}] * 129}}, "length <= 128"),
        ({"thresholds": [{"text": "lunch", "met": True, "said": ""}]}, "METRIC < VALUE"),
    ],
)
def test_refused(change: dict[str, Any], why: str) -> None:
    """One thing wrong, one sentence that says where."""
    with pytest.raises(ReportError, match=why) as refused:
        decode_report(_written({**_document(run_report()), **change}))

    assert len(str(refused.value)) < 400


def test_shards_that_cannot_be() -> None:
    """Numbered twice, or higher than there are."""
    document = _document(run_report())
    for shards in (document["shards"] * 2, [{**document["shards"][0], "number": 2}]):
        with pytest.raises(ReportError, match="twice or too high"):
            decode_report(_written({**document, "shards": shards}))


@pytest.mark.parametrize(
    "data", [b"", b"\xff\xfe", b"[]", b"7", b"[" * 100_000, b'{"format": 1}', b" " * (MAX_REPORT_BYTES + 1)]
)
def test_not_even_json(data: bytes) -> None:
    """Other bytes are refused, too."""
    with pytest.raises(ReportError):
        decode_report(data)


def test_thresholds_are_judged_in_order() -> None:
    """One that is none is the caller's mistake."""
    results = judge_thresholds(list(THRESHOLDS), storm())

    assert list(THRESHOLDS) == [result.text for result in results]
    with pytest.raises(InvalidValueError):
        judge_thresholds(["nonsense"], storm())
