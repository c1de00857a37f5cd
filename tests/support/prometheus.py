# SPDX-License-Identifier: Apache-2.0
"""What a scrape says, read with prometheus_client's own parser, and judged as `promtool check metrics` judges."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from prometheus_client.parser import text_string_to_metric_families

if TYPE_CHECKING:
    from prometheus_client import Metric

MOST_LABEL_VALUES = 60
"""Samples of one family: labels whose values are unit IDs or addresses would have as many as there are devices."""
_UNITS = ("milliseconds", "minutes", "hours", "days", "kilobytes", "megabytes", "kib", "percent", "ms", "kb")
_RESERVED = ("_count", "_sum", "_bucket", "_info_total", "_gauge", "_counter", "_histogram")


def read(text: str) -> dict[str, Metric]:
    """The families by name."""
    families = list(text_string_to_metric_families(text))
    assert len(families) == len({one.name for one in families}), "a family comes twice"
    return {one.name: one for one in families}


def value(families: dict[str, Metric], name: str, **labels: str) -> float | None:
    """The value of a sample, None without it; `name` is that of the sample, such as `..._total`."""
    found = [
        sample.value
        for family in families.values()
        for sample in family.samples
        if sample.name == name and sample.labels == labels
    ]
    assert len(found) <= 1
    return found[0] if found else None


def _label_sets(family: Metric) -> set[tuple[tuple[str, str], ...]]:
    """The buckets of a histogram are many by themselves, and counted once."""
    return {tuple(sorted((k, v) for k, v in sample.labels.items() if k != "le")) for sample in family.samples}


def problems(families: dict[str, Metric]) -> list[str]:
    """What a linter has to say."""
    found = []
    for name, family in families.items():
        words = name.split("_")
        checks = {
            "has no help": bool(family.documentation.strip()),
            "has a name with capitals or colons": re.fullmatch(r"[a-z][a-z0-9_]*", name) is not None,
            "is counted in no base unit": not any(unit in words for unit in _UNITS),
            "ends in a reserved suffix": not name.endswith(_RESERVED),
            "has its type in its name": family.type not in words,
            "is neither ours nor a standard one": name.startswith(("umslab_", "process_")),
            "has too many samples": len(_label_sets(family)) <= MOST_LABEL_VALUES,
            "does not end in _total": family.type != "counter"
            or all(sample.name.endswith("_total") for sample in family.samples),
            "is a histogram in no unit": family.type != "histogram" or name.endswith(("_seconds", "_bytes")),
            "has a negative value": all(sample.value >= 0 for sample in family.samples),
        }
        found += [f"{name} {what}" for what, good in checks.items() if not good]
    return found
