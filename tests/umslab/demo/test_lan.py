# SPDX-License-Identifier: Apache-2.0
"""Tests of umslab.demo.lan: what needs no root; the LAN itself is in tests/foreign/test_demo_discovery.py."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from umslab.demo import lan
from umslab.demo.process import DemoFailedError

if TYPE_CHECKING:
    from pathlib import Path


def test_what_is_missing_is_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Programs with their packages, root, Linux."""
    monkeypatch.setattr(lan, "_PATH", str(tmp_path))
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    monkeypatch.setattr("sys.platform", "linux")
    assert [
        "network namespaces need root",
        "ip is not installed (Debian: iproute2)",
        "dnsmasq is not installed (Debian: dnsmasq-base)",
    ] == lan.what_is_missing()

    monkeypatch.setattr("sys.platform", "darwin")
    assert "network namespaces are a thing of Linux" == lan.what_is_missing()[0]


def test_what_cannot_be_made_is_told(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """With what the program said; removing it is possible all the same."""
    program = tmp_path / "ip"
    program.write_text("#!/bin/sh\necho 'Operation not permitted' >&2\nexit 1\n")
    program.chmod(0o755)
    monkeypatch.setattr(lan, "_PATH", f"{tmp_path}:/bin:/usr/bin")
    made = lan.Lan()
    with pytest.raises(DemoFailedError, match=r"ip netns add umslab-demo-s[0-9]+: Operation not permitted"):
        made.make()
    made.remove()

    assert (str(program), "netns", "exec", made.client) == lan.inside(made.client)
