# SPDX-License-Identifier: Apache-2.0
"""Where settings come from: a TOML file, the environment, the command line; the later wins, nothing unknown passes.

Environment: `UMSLAB_SERVE_` and the key in capitals, parts joined by `__`: `UMSLAB_SERVE_LIMITS__HEADER_SECONDS=5`.
Command line: named flags, and `--set limits.header_seconds=5` for every key. Values there are TOML (`5`, `true`,
`["a", "b"]`); what is not TOML is taken as text.
"""

from __future__ import annotations

import re
import tomllib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar

import msgspec

from umslab.printable import is_utf8

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from pathlib import Path

MAX_BYTES = 1024 * 1024
ENV_PREFIX = "UMSLAB_SERVE_"
_INDEX = re.compile(r"\[\d+\]")
_QUOTES = r"[\s\"']"

T = TypeVar("T")


class SettingsError(Exception):
    """A setting is wrong; the message names the file and line, the variable or the flag."""


def load(kind: type[T], *, file: Path | None, environment: Mapping[str, str], flags: Iterable[tuple[str, Any]]) -> T:
    """Build a configuration of this type. `flags` are (dotted key, value) pairs. Raises `SettingsError`."""
    values: dict[str, Any] = {}
    origins: dict[str, str] = {}
    texts: dict[str, str] = {}
    if file is not None:
        text = _read(file)
        values = _parse(text, file)
        origins |= {key: f"{file}, line {line}" for key, line in _lines_of_keys(text).items()}
    for name, text in sorted(environment.items()):
        if name.startswith(ENV_PREFIX):
            if not is_utf8(text):
                raise SettingsError(f"the environment variable {name} is not UTF-8 text")
            key = name.removeprefix(ENV_PREFIX).lower().replace("__", ".")
            _put(values, key, _value(text), name)
            origins[key], texts[key] = f"the environment variable {name}", text
    for key, value in flags:
        plain = value.value if isinstance(value, Assigned) else value
        _put(values, key, plain, "--set")
        origins[key] = f"the command line ({key})"
        if isinstance(value, Assigned):
            texts[key] = value.text
    return _convert(values, kind, origins, texts)


@dataclass(frozen=True)
class Assigned:
    """What stood behind a `KEY=`: as TOML, and as it was written, for keys that are text (`tls_min=1.2`)."""

    value: Any
    text: str


def parse_assignment(text: str) -> tuple[str, Assigned]:
    """Read `KEY=VALUE` of `--set`. Raises `SettingsError`."""
    key, equals, value = text.partition("=")
    if not equals or not re.fullmatch(r"[a-z_][a-z0-9_]*(\.[a-z_][a-z0-9_]*)*", key.strip()):
        raise SettingsError(f"--set takes KEY=VALUE, such as limits.header_seconds=5, not {text[:60]!r}")
    return key.strip(), Assigned(_value(value.strip()), value.strip())


def _read(file: Path) -> str:
    try:
        with file.open("rb") as stream:
            data = stream.read(MAX_BYTES + 1)
        if len(data) > MAX_BYTES:
            raise SettingsError(f"{file} is larger than {MAX_BYTES // 1024} KiB")
        return data.decode("utf-8")
    except OSError as error:
        raise SettingsError(f"{file} cannot be read: {error.strerror}") from error
    except UnicodeDecodeError:
        raise SettingsError(f"{file} is not UTF-8 text") from None


def _parse(text: str, file: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise SettingsError(f"{file} is not TOML: {error}") from None
    except RecursionError:
        raise SettingsError(f"{file} is not TOML: it is nested too deeply") from None


def _value(text: str) -> Any:
    try:
        return tomllib.loads(f"value = {text}")["value"]
    except (tomllib.TOMLDecodeError, KeyError, RecursionError):
        return text


def _put(values: dict[str, Any], key: str, value: Any, origin: str) -> None:
    *rooms, last = key.split(".")
    for room in rooms:
        values = values.setdefault(room, {})
        if not isinstance(values, dict):
            raise SettingsError(f"{origin}: {key}: {room} is a value, not a table")
    values[last] = value


def _convert(values: dict[str, Any], kind: type[T], origins: dict[str, str], texts: dict[str, str]) -> T:
    try:
        return msgspec.convert(values, kind)
    except msgspec.ValidationError as error:
        message, _, where = str(error).partition(" - at `$")
        path = where.rstrip("`").replace("[...]", "").strip(".")
        if message.startswith("Expected `str`") and (plain := _INDEX.sub("", path)) in texts:
            _put(values, plain, texts.pop(plain), "--set")
            return _convert(values, kind, origins, texts)
        if unknown := re.search(r"unknown field `([^`]*)`", message):
            path = f"{path}.{unknown.group(1)}".strip(".")
            message = f"unknown key {path}"
        elif (named := f"{path}.{message.partition(':')[0]}".strip(".")) in origins:  # a rule of our own names its key
            path, message = named, f"{named}:{message.partition(':')[2]}"
        elif path:
            message = f"{path}: {message}"
        origin = _origin(path, origins) or _origin(_INDEX.sub("", path), origins) or "the configuration"
        raise SettingsError(f"{origin}: {message}") from None


def _origin(path: str, origins: dict[str, str]) -> str | None:
    """The nearest place we know for a key: itself, something inside it, or the table around it."""
    inside = [origin for key, origin in origins.items() if key == path or key.startswith(f"{path}.")]
    if inside:
        return inside[0]
    while "." in path:
        path = path.rpartition(".")[0]
        if path in origins:
            return origins[path]
    return None


def _lines_of_keys(text: str) -> dict[str, int]:
    """Line numbers of `[table]` headings and of `key =` lines; enough for plain files, and only used for messages.

    A key of the second `[[table]]` is `table[1].key`; the first one's is also known without its number.
    """
    lines: dict[str, int] = {}
    arrays: dict[str, int] = {}
    table = ""
    for number, line in enumerate(text.splitlines(), 1):
        found = ""
        if heading := re.match(r"\s*(\[+)\s*([^\]]+?)\s*\]", line):
            name = re.sub(_QUOTES, "", heading.group(2))
            if heading.group(1) == "[[":
                arrays[name] = arrays.get(name, -1) + 1
            found = table = _numbered(name, arrays)
        elif key := re.match(r"\s*([A-Za-z0-9_.\"' -]+?)\s*=", line):
            found = f"{table}.{re.sub(_QUOTES, '', key.group(1))}".strip(".")
        if found:
            lines.setdefault(found, number)
            lines.setdefault(_INDEX.sub("", found), number)
    return lines


def _numbered(table: str, arrays: dict[str, int]) -> str:
    """Add the numbers of the arrays of tables that a table is in."""
    path = plain = ""
    for part in table.split("."):
        plain = f"{plain}.{part}".strip(".")
        path = f"{path}.{part}".strip(".") + (f"[{arrays[plain]}]" if plain in arrays else "")
    return path
