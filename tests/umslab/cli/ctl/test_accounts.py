# SPDX-License-Identifier: Apache-2.0
"""`umslab ctl accounts`: users with which OS 11 devices are registered by hand."""

from __future__ import annotations

from typing import TYPE_CHECKING

from .terminal import ctl, ctl_json, ctl_refused

if TYPE_CHECKING:
    from tests.support.process import ServerProcess


def test_accounts(server: ServerProcess) -> None:
    """Made with a random password or a given one, listed without, deleted."""
    fresh = ctl(server, "accounts", "list")
    password = ctl(server, "accounts", "create", "ann").strip()
    given = ctl(server, "accounts", "create", "bob", "--stdin", stdin="correct horse\n")
    listed = ctl_json(server, "accounts", "accounts", "list")
    ctl(server, "accounts", "delete", "ann")

    assert "no users" in fresh
    assert len(password) == 20
    assert given == "bob: made\n"
    assert [(one["name"], one["password"]) for one in listed] == [("ann", None), ("bob", None)]
    assert "ann" not in ctl(server, "accounts", "list")


def test_refusals(server: ServerProcess) -> None:
    """A sentence each."""
    assert "no account" in ctl_refused(server, "accounts", "delete", "nobody")
    assert "characters" in ctl_refused(server, "accounts", "create", "")
