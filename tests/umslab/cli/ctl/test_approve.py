# SPDX-License-Identifier: Apache-2.0
"""`umslab ctl approve`: first enrolments that wait for a person."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
import typer
from typer.testing import CliRunner

from umslab import exit_codes
from umslab.cli.ctl.approve import approve
from umslab.cli.output import UserError

from .terminal import IDS, ctl, ctl_json, ctl_refused

if TYPE_CHECKING:
    from tests.support.process import ServerProcess


def test_nobody_waits(server: ServerProcess) -> None:
    """An empty list, nobody to approve, and a sentence for who has not asked."""
    assert "nobody waits for approval" in ctl(server, "approve", "list")
    assert [] == ctl_json(server, "approvals", "approve", "list")
    assert "0 devices approved" in ctl(server, "approve", "--all")
    assert "has not asked to enrol" in ctl_refused(server, "approve", IDS[0])
    assert "has not asked to enrol" in ctl_refused(server, "approve", "reject", IDS[0])
    assert "is not a unit ID" in ctl_refused(server, "approve", "nonsense")


@pytest.mark.parametrize("words", [[], ["list", IDS[0]], ["reject"], ["--all", IDS[0]]])
def test_words_that_make_no_sense(words: list[str]) -> None:
    """The usage is told; nobody is asked."""
    app = typer.Typer()
    app.command()(approve)
    done = CliRunner().invoke(app, words)

    assert isinstance(done.exception, UserError)
    assert exit_codes.USAGE == done.exception.exit_code
    assert "approve" in str(done.exception) or "--all" in str(done.exception)
