# SPDX-License-Identifier: Apache-2.0
"""The house rules that no linter knows: limits on ourselves, names, licences, secrets, sources."""

from __future__ import annotations

import ast
import re
import subprocess
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SOURCE_ROOTS = ("agent", "certs", "protocol", "server", "scripts")
MAX_MODULE_LINES = 420
MAX_FUNCTION_LINES = 60
FORBIDDEN_NAMES = {"utils", "util", "manager", "managers", "helpers", "helper", "misc", "common"}


@cache
def _tracked() -> list[Path]:
    """The files of the project: those git knows or would know."""
    done = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    return [path for name in done.stdout.splitlines() if (path := ROOT / name).is_file()]


def _python(*, tests: bool) -> list[Path]:
    roots = (*SOURCE_ROOTS, "tests") if tests else SOURCE_ROOTS
    return [path for path in _tracked() if path.suffix == ".py" and path.relative_to(ROOT).parts[0] in roots]


def _name(path: Path) -> str:
    return str(path.relative_to(ROOT))


def _text(path: Path) -> str:
    return path.read_text(encoding="utf-8")


@pytest.mark.parametrize("path", _python(tests=True), ids=_name)
def test_licence_line(path: Path) -> None:
    """Every file says under which licence it is."""
    assert _text(path).startswith("# SPDX-License-Identifier: Apache-2.0\n")


@pytest.mark.parametrize("path", _python(tests=False), ids=_name)
def test_size_and_name(path: Path) -> None:
    """Modules and functions stay small, and no module is called after nothing."""
    tree = ast.parse(_text(path))
    functions = [node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)]
    long = [f"{node.name}: {_length(node)}" for node in functions if _length(node) > MAX_FUNCTION_LINES]

    assert len(_text(path).splitlines()) <= MAX_MODULE_LINES
    assert long == []
    assert path.stem not in FORBIDDEN_NAMES


def _length(node: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    """Lines of the body, without signature and docstring: a command line has many flags."""
    body = node.body[1:] if ast.get_docstring(node) and len(node.body) > 1 else node.body
    return (body[-1].end_lineno or 0) - body[0].lineno + 1


def test_every_module_has_its_test_file() -> None:
    """The tests mirror the packages."""
    tested = {path.name for path in _python(tests=True) if path.relative_to(ROOT).parts[0] == "tests"}
    modules = [
        path for path in _python(tests=False) if path.stem not in {"__init__", "__main__"} and "bench" not in path.parts
    ]
    missing = [_name(path) for path in modules if f"test_{path.name}" not in tested]

    assert missing == []


def test_no_leftovers() -> None:
    """No notes to ourselves in the code; ROADMAP.md is the place."""
    pattern = re.compile(r"\b(TODO|FIXME|XXX|HACK)\b")
    found = [_name(path) for path in _python(tests=True) if path != Path(__file__) and pattern.search(_text(path))]

    assert found == []


def test_no_real_sleeping_and_no_mocks() -> None:
    """Tests use Trio's clocks and real objects; the product never blocks its loop."""
    pattern = re.compile(r"\btime\.sleep\(|unittest\.mock|from unittest import mock")
    found = [_name(path) for path in _python(tests=True) if path != Path(__file__) and pattern.search(_text(path))]

    assert found == []


def test_no_private_key_is_committed() -> None:
    """Nothing that looks like a private key is in the tree."""
    pattern = re.compile(rb"-----BEGIN [A-Z ]*PRIVATE KEY-----\s+[A-Za-z0-9+/=]{32}")
    found = [_name(path) for path in _tracked() if pattern.search(path.read_bytes())]

    assert found == []


def test_no_package_index_is_named() -> None:
    """Lock files and scripts work with whatever index the machine has."""
    pattern = re.compile(r"--(extra-)?index-url|--find-links|--trusted-host|registry\.npmjs|pypi\.org|\"resolved\"")
    files = [
        path for path in _tracked() if path.name in {"package-lock.json", ".npmrc"} or "requirements" in path.parts
    ]
    files += [path for path in _tracked() if path.parent == ROOT / "scripts" and path.name != "lock"]
    found = [_name(path) for path in files if pattern.search(_text(path))]

    assert files
    assert found == []


def test_locked_requirements_have_hashes() -> None:
    """Every pinned package has at least one hash."""
    for name in ("runtime.txt", "dev.txt"):
        text = _text(ROOT / "requirements" / name)
        pins = re.findall(r"^[a-z0-9_.\[\]-]+==[^\s\\]+(.*?)(?=^[a-z#]|\Z)", text, re.MULTILINE | re.DOTALL)

        assert len(pins) > 10
        assert all("--hash=sha256:" in rest for rest in pins)


def test_cited_facts_are_in_our_facts_file() -> None:
    """A fact number in the code can be looked up in docs/facts.md."""
    known = set(re.findall(r"^\| ([A-Z]{1,3}\d+[a-z]?) \|", _text(ROOT / "docs" / "facts.md"), re.MULTILINE))
    pattern = re.compile(r"\b((?:[ABCDEFGHIJKLMNOPQRSTUVWX]|ST|RB|HA|AI|WL|FU|SE|NP)\d{1,2}[a-z]?)\b")
    cited: dict[str, str] = {}
    for path in _python(tests=False):
        for docstring in _prose(path):
            cited.update({number: _name(path) for number in pattern.findall(docstring)})
    unknown = {number: where for number, where in cited.items() if number not in known and number not in NOT_FACTS}

    assert unknown == {}


# Words that look like fact numbers and are none.
NOT_FACTS = {"P256", "P384", "P521", "X509", "H11"}


def _prose(path: Path) -> list[str]:
    """Docstrings and comments of a module."""
    text = _text(path)
    tree = ast.parse(text)
    strings = [
        node.value.value
        for node in ast.walk(tree)
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) and isinstance(node.value.value, str)
    ]
    return [*strings, *re.findall(r"#\s(.*)$", text, re.MULTILINE)]
