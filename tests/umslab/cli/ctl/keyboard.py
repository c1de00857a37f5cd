# SPDX-License-Identifier: Apache-2.0
"""Somebody who types `umslab ctl` in this process: a hundred commands in the time of one that starts Python."""

from __future__ import annotations

import json
from contextlib import redirect_stdout
from io import StringIO
from typing import TYPE_CHECKING, Any

import pytest

from umslab.cli.ctl.main import app
from umslab.cli.output import UserError

if TYPE_CHECKING:
    from tests.support.process import ServerProcess


def ctl(server: ServerProcess, *arguments: str) -> str:
    """Type a command that succeeds; return what it prints."""
    printed = StringIO()
    with redirect_stdout(printed):
        app([*arguments, "--state", str(server.state)], standalone_mode=False)
    return printed.getvalue()


def ctl_json(server: ServerProcess, kind: str, *arguments: str) -> Any:
    """Type a command with --json; return what the document holds under its kind."""
    document = json.loads(ctl(server, *arguments, "--json"))
    assert 1 == document["version"]
    return document[kind]


def ctl_refused(server: ServerProcess, *arguments: str) -> str:
    """Type a command that is refused in one line; return the line."""
    with pytest.raises(UserError) as caught:
        ctl(server, *arguments)
    line = str(caught.value)
    assert "\n" not in line
    return line
