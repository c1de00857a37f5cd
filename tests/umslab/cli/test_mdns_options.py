# SPDX-License-Identifier: Apache-2.0
"""What `umslab serve` and `umslab device` say to wrong uses of --mdns; tests/foreign has the right ones."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.support.here import run_here

if TYPE_CHECKING:
    from pathlib import Path


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (("device", "--mdns", "--sources", "dns"), 2, "--sources leaves it out"),
        (("device", "localhost", "--mdns"), 2, "HOST says where"),
        (("device", "localhost", "--mdns-on", "10.0.0.1"), 2, "HOST says where"),
        (("device", "--mdns-on", "eth0"), 2, "literal IPv4 address"),
        (("serve", "--mdns-on", "::1"), 2, "literal IPv4 address"),
        (("serve", "--set", "mdns.name=a\x07b"), 2, "printable"),
        (("serve", "--mdns-on", "10.0.0.1"), 2, "does not listen on 10.0.0.1"),
        (("serve", "--port", "0", "--mdns", "--listen", "::1"), 1, "needs an IPv4 address"),
    ],
)
def test_wrong_uses(arguments: tuple[str, ...], code: int, words: str, tmp_path: Path) -> None:
    """One sentence, and the exit code that fits."""
    quick = ("--set", "certificates.root_key=p-256", "--set", "certificates.web_key=p-256", "--set", "os11.key=p-256")
    done = run_here(*arguments, *(quick if arguments[0] == "serve" else ()), "--state", str(tmp_path))

    assert code == done.returncode, done.stderr
    assert words in done.stderr
    assert "Traceback" not in done.stderr
