# SPDX-License-Identifier: Apache-2.0
"""The record of a run: what was planned, on what it ran, what was measured, what that means. JSON with a version.

Provenance: ours. What is read is hostile: sizes are bounded, unknown fields refused, and everything that is wrong ends
in one `ReportError`.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta

from umslab_agent.fleet.bottleneck import bottlenecks
from umslab_agent.fleet.histogram import Histogram
from umslab_agent.fleet.measured import Condition, Count, Measured, Seconds
from umslab_agent.fleet.thresholds import ThresholdResult, parse_threshold
from umslab_protocol.errors import InvalidValueError

FORMAT = "umslab-fleet-report"
VERSION = 1
MAX_REPORT_BYTES = 32 * 1024 * 1024
MOST_THRESHOLDS = 100
MOST_SHARDS = 1024

Text = Annotated[str, Meta(max_length=200)]


class ReportError(Exception):
    """A report cannot be read, or not be merged; the message says why."""


class PlanIdentity(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    """Which plan was run: shards of one plan agree in all of it."""

    digest: Annotated[str, Meta(pattern=r"^[0-9a-f]{64}\Z")]
    scenario: Text
    seed: Annotated[int, Meta(ge=0, le=2**63 - 1)]
    devices: Count
    """Of the whole plan, not of the shard."""
    phases: Annotated[list[Text], Meta(max_length=200)] = []
    retry: Text = ""
    """The devices' retry policy, in words."""


class Backend(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    """What the fleet ran against, as it named itself."""

    target: Text
    product: Text = ""
    """As in its `Server` header; empty when it did not say."""
    version: Text = ""
    proxied: bool = False

    @property
    def simulated(self) -> bool:
        """It is an umslab server: the run says nothing about a real UMS."""
        return self.product == "umslab"


class Machine(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    """What the generator ran on."""

    system: Text
    processors: Annotated[int, Meta(ge=0, le=100_000)]
    memory: Count
    """Bytes that are built in, free or not."""
    python: Text
    openssl: Text
    umslab: Text


class ShardRun(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    """One shard of the plan: where and when it ran."""

    number: Annotated[int, Meta(ge=1, le=MOST_SHARDS)]
    started: Annotated[str, Meta(pattern=r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{1,6})?Z\Z")]
    """UTC, for people."""
    seconds: Seconds
    machine: Machine
    processes: Annotated[int, Meta(ge=1, le=1024)] = 1
    interrupted: bool = False
    """It did not come to its end: the user stopped it, or one of its processes died."""


class RunReport(msgspec.Struct, forbid_unknown_fields=True, kw_only=True):
    """The whole record, of one shard or of several."""

    format: Literal["umslab-fleet-report"] = "umslab-fleet-report"
    version: Literal[1] = 1
    plan: PlanIdentity
    of_shards: Annotated[int, Meta(ge=1, le=MOST_SHARDS)] = 1
    shards: Annotated[list[ShardRun], Meta(min_length=1, max_length=MOST_SHARDS)]
    backend: Backend
    measured: Measured
    thresholds: Annotated[list[ThresholdResult], Meta(max_length=MOST_THRESHOLDS)] = []
    notes: Annotated[list[Text], Meta(max_length=100)] = []
    """What a reader has to know: phases that were skipped, and why."""

    @property
    def missing(self) -> list[int]:
        """Numbers of the shards that are not in it."""
        return sorted(set(range(1, self.of_shards + 1)) - {shard.number for shard in self.shards})

    @property
    def bottlenecks(self) -> list[str]:
        """Why its latencies are the generator's, if they are."""
        return bottlenecks(self.measured)

    @property
    def started(self) -> str:
        """When the first shard did."""
        return min(shard.started for shard in self.shards)


def judge_thresholds(texts: list[str], measured: Measured) -> list[ThresholdResult]:
    """Judge every threshold. Raises `InvalidValueError` for one that is none."""
    return [parse_threshold(text).judge(measured) for text in texts]


class Outcome(msgspec.Struct, frozen=True):
    """What a run comes to; the command makes an exit code of it."""

    missed: int
    """Thresholds that were not kept."""
    failed: bool
    """Without thresholds: something failed, was left out or interrupted."""


def outcome(report: RunReport) -> Outcome:
    """Judge a run. Thresholds decide where there are some; else every device has to be managed once, and none lost."""
    missed = sum(not result.met for result in report.thresholds)
    measured = report.measured
    gone = sum(
        measured.conditions[condition].total
        for condition in (Condition.FAILED, Condition.OFFLINE)
        if condition in measured.conditions
    )
    incomplete = measured.managed_once < measured.devices or gone > 0 or not measured.devices
    stopped = any(shard.interrupted for shard in report.shards)
    return Outcome(missed, failed=stopped or (incomplete and not report.thresholds))


def encode_report(report: RunReport) -> bytes:
    """Write it as JSON."""
    return msgspec.json.encode(report, enc_hook=_encode_own) + b"\n"


def decode_report(data: bytes) -> RunReport:
    """Read it. Raises `ReportError` for anything else."""
    if len(data) > MAX_REPORT_BYTES:
        raise ReportError(f"a report has at most {MAX_REPORT_BYTES // 1024 // 1024} MiB")
    try:
        head = msgspec.json.decode(data, type=_Head)
        if head.format != FORMAT:
            raise ReportError("this is no report of a fleet run: write one with `umslab fleet run ... --report FILE`")
        if head.version != VERSION:
            raise ReportError(f"the report has version {head.version}; this umslab reads version {VERSION}")
        report = _decoder.decode(data)
        for result in report.thresholds:
            parse_threshold(result.text)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError, InvalidValueError) as error:
        raise ReportError(f"this is no report of a fleet run: {str(error)[:300]}") from None
    numbers = [shard.number for shard in report.shards]
    if len(set(numbers)) < len(numbers) or max(numbers) > report.of_shards:
        raise ReportError("this is no report of a fleet run: its shards are numbered twice or too high")
    return report


class _Head(msgspec.Struct):
    format: str = ""
    version: int = 0


def _encode_own(value: Any) -> str:
    if isinstance(value, Histogram):
        return value.encode()
    raise TypeError(f"{type(value).__name__} has no place in a report")


def _decode_own(kind: type, value: Any) -> Histogram:
    if kind is not Histogram or not isinstance(value, str):
        raise ValueError("expected the text of a histogram")
    return Histogram.decode(value)


_decoder = msgspec.json.Decoder(RunReport, dec_hook=_decode_own)
