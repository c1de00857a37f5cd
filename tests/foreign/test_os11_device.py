# SPDX-License-Identifier: Apache-2.0
"""What openssl sees of a device on TCP 30005: TLS 1.2 and nothing else, and its own certificate."""

from __future__ import annotations

import re
import subprocess
from typing import TYPE_CHECKING

import pytest

from tests.support.process import UMSLAB, clean_environment

from . import openssl

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture(scope="module")
def listening(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A device that finds no server, and listens all the same; its address."""
    state = tmp_path_factory.mktemp("device")
    arguments = ("--os", "11", "--push-port", "0", "--retry", "--state", str(state))
    with subprocess.Popen(
        [*UMSLAB, "device", "127.0.0.1:1", *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        env=clean_environment(),
    ) as process:
        assert process.stdout is not None
        try:
            said = next(line for line in process.stdout if "listening on" in line)
            yield said.split()[-1]
        finally:
            process.kill()


def test_tls_1_2_is_spoken(listening: str) -> None:
    """With a certificate as G10 shows one: no common name, self-signed."""
    done = openssl.s_client(listening, "-tls1_2", "-no_ign_eof", send="")

    assert re.search(r"Protocol\s*:\s*TLSv1\.2|New, TLSv1\.2", done.out)
    assert "O = umslab simulation" in done.out or "O=umslab simulation" in done.out
    assert "CN" not in done.out.partition("Server certificate")[0]


@pytest.mark.parametrize("version", ["-tls1_3", "-tls1_1"])
def test_no_other_version_is(listening: str, version: str) -> None:
    """Alert 70, protocol version."""
    done = openssl.s_client(listening, version, "-cipher", "ALL:@SECLEVEL=0", send="")

    assert re.search(r"alert number 70|protocol version|no protocols available", done.err)
    assert "BEGIN CERTIFICATE" not in done.out
