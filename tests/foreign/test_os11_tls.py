# SPDX-License-Identifier: Apache-2.0
"""The ports of OS 11 as openssl s_client and curl see them: TLS 1.2 and nothing else, no client certificate (T1)."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING

import pytest

from . import openssl
from .curl import curl

if TYPE_CHECKING:
    from .ums import Ums

REQUEST = "GET / HTTP/1.0\r\n\r\n"  # both ports end the connection after it
TLS_12 = ("--insecure", "--tls-max", "1.2")
PORTS = ("os11_addresses", "file_transfer_addresses")


def address(ums: Ums, port: str) -> str:
    """Where a port is, as the ready file says."""
    found: str = json.loads((ums.state / "ready.json").read_text())[port][0]
    return found


@pytest.mark.parametrize("port", PORTS)
def test_tls_12(ums: Ums, port: str) -> None:
    """TLS 1.2 with forward secrecy, one self-signed certificate without extensions, and nobody is asked for one."""
    done = openssl.s_client(address(ums, port), "-tls1_2", "-showcerts", send=REQUEST)

    assert re.search(r"New, TLSv1\.2, Cipher is ECDHE-", done.out)
    assert "No client certificate CA names sent" in done.out
    assert done.out.count("BEGIN CERTIFICATE") == 1
    assert "O = umslab simulation" in done.out


@pytest.mark.parametrize("port", PORTS)
@pytest.mark.parametrize("version", ["tls1", "tls1_1", "tls1_3"])
def test_nothing_else(ums: Ums, port: str, version: str) -> None:
    """Every other version is refused with `protocol_version`, the newest too."""
    options = () if version == "tls1_3" else ("-cipher", "ALL:@SECLEVEL=0")
    done = openssl.s_client(address(ums, port), f"-{version}", *options, send=REQUEST)

    assert "SSL alert number 70" in done.err


def test_http_on_the_port_of_devices(ums: Ums) -> None:
    """Is no frame: told goodbye, and the server goes on."""
    done = openssl.s_client(address(ums, "os11_addresses"), "-tls1_2", send=REQUEST)

    assert "HTTP/" not in done.out
    assert "a frame of the unknown kind 71" in done.out


def test_files_by_curl(ums: Ums) -> None:
    """Without a ticket 401; other paths are not there."""
    where = address(ums, "file_transfer_addresses")
    asked = curl(f"https://{where}/ums_filetransfer/{'0' * 64}", *TLS_12)
    other = curl(f"https://{where}/info", *TLS_12)

    assert asked.status == 401
    assert (asked.header("www-authenticate") or "").startswith("Basic ")
    assert other.status == 404
