# SPDX-License-Identifier: Apache-2.0
"""What verbs print: tables for people, versioned JSON for machines, errors that say what to do.

Every verb needs this module, and few need all of it: Trio and rich are loaded by the functions that use them, because
to load both takes a script that calls `umslab` in a loop longer than most answers.
"""

# ruff: noqa: PLC0415

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, TypeVar

import msgspec
import typer

from umslab import exit_codes
from umslab.printable import printable

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterable, Sequence

    from rich.console import Console
    from rich.text import Text

T = TypeVar("T")
JSON_VERSION = 1
NOTHING = "-"
MANY_ROWS = 500
"""Of a table that nobody reads from top to bottom: it is for grep, and is to be there at once."""

SETTINGS: dict[str, Any] = {
    "add_completion": False,
    "rich_markup_mode": None,
    "pretty_exceptions_enable": False,
    "context_settings": {"help_option_names": ["-h", "--help"]},
}
"""What every Typer of the command line has."""

StateOption = Annotated[
    Path | None,
    typer.Option(
        "--state",
        metavar="DIR",
        envvar="UMSLAB_STATE",
        help="Folder that holds the state (default: ./.umslab).",
        show_envvar=True,
    ),
]
JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON for machines.")]
DEFAULT_STATE = Path(".umslab")


def help_text(docstring: str | None) -> str:
    """A module's docstring as the help of its verb, with the examples kept line by line."""
    return (docstring or "").replace("Examples:\n", "\b\nExamples:\n")


class UserError(Exception):
    """Something the user can put right; printed as one line."""

    def __init__(self, message: str, exit_code: int = exit_codes.ERROR) -> None:
        super().__init__(message)
        self.exit_code = exit_code


def run_async(main: Callable[..., Awaitable[T]], *args: Any) -> T:
    """Run with Trio; of errors that come in groups, the first is raised alone, so that it can be told in a sentence."""
    import trio

    try:
        return trio.run(main, *args)
    except BaseExceptionGroup as group:
        error: BaseException = group
        while isinstance(error, BaseExceptionGroup):
            error = error.exceptions[0]
        raise error from None


def print_json(kind: str, value: Any) -> None:
    """Print one versioned JSON document."""
    document = {"version": JSON_VERSION, kind: value}
    print(msgspec.json.format(msgspec.json.encode(document)).decode())


def print_json_line(value: Any) -> None:
    """Print one line of JSON and let it leave at once: for streams."""
    print(msgspec.json.encode(value).decode(), flush=True)


def print_table(headings: Sequence[str], rows: Iterable[Sequence[object]], *, empty: str) -> None:
    """Print a table, or the sentence for when there is nothing."""
    lines = [[_words(value) for value in row] for row in rows]
    if not lines:
        print(empty)
        return
    if len(lines) > MANY_ROWS:
        _print_columns([list(headings), *lines])
        return
    from rich.table import Table

    table = Table(box=None, pad_edge=False, header_style="bold")
    for heading in headings:
        table.add_column(heading, no_wrap=heading in {"unit ID", "key", "id", "token"})
    for line in lines:
        table.add_row(*map(_text, line))
    console().print(table)


def _print_columns(lines: list[list[str]]) -> None:
    """Print columns as wide as they need to be; rich would lay twenty thousand rows out for a minute."""
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    for line in lines:
        print("  ".join(text.ljust(width) for text, width in zip(line, widths, strict=True)).rstrip())


def print_pairs(pairs: Iterable[tuple[str, object]]) -> None:
    """Print names and values, one a line."""
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, pad_edge=False, show_header=False)
    for name, value in pairs:
        table.add_row(Text(name, style="bold"), cell(value))
    console().print(table)


def cell(value: object) -> Text:
    """One value, with whatever a peer may have put into it made harmless for a terminal."""
    return _text(_words(value))


def _words(value: object) -> str:
    if value is None or value == "":
        return NOTHING
    if isinstance(value, bool):
        return "yes" if value else "no"
    return printable(str(value))


def _text(words: str) -> Text:
    from rich.text import Text

    return Text(words, style="dim" if words == NOTHING else "")


def console() -> Console:
    """A console that never wraps a table into unreadability where nobody watches."""
    from rich.console import Console

    return Console(width=None if sys.stdout.isatty() else 200, highlight=False, soft_wrap=False)
