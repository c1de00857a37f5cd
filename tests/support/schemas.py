# SPDX-License-Identifier: Apache-2.0
"""The JSON Schemas of the messages, as they lie in docs/schemas, in the hands of a validator that is not ours."""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path
from typing import Any

from jsonschema import Draft202012Validator  # type: ignore[import-untyped]

FOLDER = Path(__file__).parents[2] / "docs" / "schemas"


@cache
def validator(name: str) -> Draft202012Validator:
    """The validator of the message with this `type`."""
    return Draft202012Validator(load(name))


def load(name: str) -> dict[str, Any]:
    """The schema of the message with this `type`."""
    schema = json.loads((FOLDER / f"{name}.json").read_text(encoding="utf-8"))
    assert isinstance(schema, dict)
    return schema


def check(document: dict[str, Any]) -> None:
    """Fail when a message is not as its schema says."""
    validator(document["type"]).validate(document)


def is_valid(name: str, document: object) -> bool:
    """Whether the schema with this name lets a document pass."""
    return bool(validator(name).is_valid(document))
