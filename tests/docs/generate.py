# SPDX-License-Identifier: Apache-2.0
"""The parts of the documents that are made from the code: `python -m tests.docs.generate` writes them anew.

A part stands between `<!-- begin: NAME -->` and `<!-- end -->`; test_generated.py fails when it is not what this file
makes.
"""

from __future__ import annotations

import ast
import inspect
import re
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from umslab_protocol.values import failure
from umslab_protocol.values.firmware import Behaviour
from umslab_protocol.wire import close_codes
from umslab_protocol.wire.messages import MESSAGE_TYPES
from umslab_protocol.wire.provenance import FORMATS
from umslab_server.config import ServerConfig

if TYPE_CHECKING:
    from collections.abc import Callable

ROOT = Path(__file__).parents[2]
DOCUMENTS = [*sorted(ROOT.glob("*.md")), *sorted((ROOT / "docs").glob("*.md"))]
_PART = re.compile(r"(<!-- begin: ([a-z-]+) -->\n)(.*?)(<!-- end -->)", re.DOTALL)


def _table(headings: tuple[str, ...], rows: list[tuple[object, ...]]) -> str:
    lines = [headings, ("---",) * len(headings), *rows]
    return "".join("| " + " | ".join(str(value) for value in row) + " |\n" for row in lines)


def _docstrings(kind: type) -> dict[str, str]:
    """The sentences below the attributes of a class."""
    found: dict[str, str] = {}
    body = ast.parse(inspect.getsource(kind)).body[0]
    assert isinstance(body, ast.ClassDef)
    for before, node in zip(body.body, body.body[1:], strict=False):
        targets = (
            before.targets
            if isinstance(before, ast.Assign)
            else [before.target]
            if isinstance(before, ast.AnnAssign)
            else []
        )
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) and targets:
            assert isinstance(targets[0], ast.Name)
            found[targets[0].id] = " ".join(str(node.value.value).split())
    return found


def _assigned(node: ast.stmt) -> str | None:
    target = node.targets[0] if isinstance(node, ast.Assign) else getattr(node, "target", None)
    return target.id if isinstance(target, ast.Name) else None


def settings() -> str:
    """Every key of the server's configuration."""
    rows: list[tuple[object, ...]] = []

    def walk(kind: type[msgspec.Struct], prefix: str) -> None:
        sentences = _docstrings(kind)
        for entry in msgspec.structs.fields(kind):
            default = entry.default_factory() if entry.default is msgspec.NODEFAULT else entry.default
            if isinstance(default, msgspec.Struct):
                walk(type(default), f"{prefix}{entry.name}.")
                continue
            shown = msgspec.json.encode(default).decode()
            rows.append((f"`{prefix}{entry.name}`", f"`{shown}`", sentences[entry.name]))

    walk(ServerConfig, "")
    return _table(("Key", "Default", "Meaning"), rows)


def firmware() -> str:
    """What depends on the firmware version."""
    rows: list[tuple[object, ...]] = [(f"{one.since}", one.sentence, one.fact) for one in Behaviour]
    return _table(("Since", "A device with this firmware", "Fact"), rows)


def failures() -> str:
    """Which reasons have which vendor code."""
    codes = [f"{code} ({meaning})" for code, meaning in failure.VENDOR_CODES.items()]
    rows: list[tuple[object, ...]] = [
        (phase, reason or "*any other*", code, failure.VENDOR_CODES[code], confidence)
        for phase, reason, code, confidence in failure.code_table()
    ]
    listed = ", ".join(codes)
    table = _table(("Phase", "Reason", "IGEL code", "Its meaning", "Confidence"), rows)
    return f"{table}\nAll the vendor's codes (section 3.6 of our notes; 31 is not in the list): {listed}.\n"


def formats() -> str:
    """Where each format comes from."""
    return _table(("Format", "Provenance", "Source"), [(one.name, one.provenance, one.source) for one in FORMATS])


def close_codes_table() -> str:
    """The close codes this project sends."""
    sentences = _docstrings(close_codes.CloseCode)
    rows: list[tuple[object, ...]] = [
        (int(code), code.name.lower().replace("_", " "), sentences.get(code.name, "RFC 6455"))
        for code in close_codes.CloseCode
    ]
    return _table(("Code", "Name", "Meaning"), rows)


def schemas() -> str:
    """The JSON Schema of each message."""
    definitions, components = msgspec.json.schema_components(MESSAGE_TYPES, ref_template="#/$defs/{name}")
    del definitions
    parts = []
    for name, schema in components.items():
        description = str(schema.pop("description", "")).strip()
        schema.pop("title", None)
        body = msgspec.json.format(msgspec.json.encode(schema), indent=2).decode()
        parts.append(f"#### {name}\n\n{description}\n\n```json\n{body}\n```\n")
    return "\n".join(parts)


PARTS: dict[str, Callable[[], str]] = {
    "settings": settings,
    "firmware": firmware,
    "failures": failures,
    "formats": formats,
    "close-codes": close_codes_table,
    "schemas": schemas,
}


def regenerate(text: str) -> str:
    """Return a document with all its made parts made anew."""
    return _PART.sub(lambda part: f"{part[1]}{PARTS[part[2]]()}{part[4]}", text)


def main() -> None:
    """Write every document that changed."""
    for path in DOCUMENTS:
        text = path.read_text(encoding="utf-8")
        fresh = regenerate(text)
        if fresh != text:
            path.write_text(fresh, encoding="utf-8")
            sys.stdout.write(f"wrote {path.relative_to(ROOT)}\n")


if __name__ == "__main__":
    main()
