# SPDX-License-Identifier: Apache-2.0
"""The documented ports in a namespace of their own, as tshark, nmap and openssl see them: which TLS is spoken where.

TLS 1.2 and nothing else on 30001, 30003 and 30005, TLS 1.3 and nothing else on 8443 (T1); no renegotiation (G14).
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, NamedTuple

import pytest

from .dhcp_lab import lan
from .strangers import in_background, need, run
from .ums import UMSLAB, running_ums

if TYPE_CHECKING:
    from collections.abc import Iterator

    from .strangers import Daemon, Finished

WEB, CONTACT, FILES, PUSH = 8443, 30_001, 30_003, 30_005
OS11 = (CONTACT, FILES, PUSH)
TLS_12, TLS_13 = "0x0303", "0x0304"
FIELDS = (
    "tcp.srcport", "tcp.dstport", "tls.handshake.type", "tls.handshake.version",
    "tls.handshake.extensions.supported_version", "tls.alert_message.desc",
)  # fmt: skip
CLIENT_HELLO, SERVER_HELLO, PROTOCOL_VERSION = "1", "2", "70"


class Seen(NamedTuple):
    """What tshark says of one packet."""

    source: str
    destination: str
    handshake: str
    version: str
    supported: str
    alert: str


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[tuple[str, ...], Daemon]]:
    """What commands in the namespace begin with, and the capture of all that server and devices ever said there."""
    need("tshark", "nmap")
    path = tmp_path_factory.mktemp("ports")
    fields = [word for field in FIELDS for word in ("-e", field)]
    with lan() as names:
        inside = ("ip", "netns", "exec", names.server)
        shown = ("-Y", "tls.handshake.type in {1,2} or tls.alert_message", "-T", "fields", "-E", "separator=;", *fields)
        decode = [word for port in (WEB, *OS11) for word in ("-d", f"tcp.port=={port},tls")]
        capture = (*inside, "tshark", "-l", "-n", "-i", "lo", *decode, *shown)
        device = (*inside, UMSLAB, "device", "127.0.0.1", "--os", "11", "--retry", "--state", path / "device")
        settings = ("enrolment.automatic=true", "os11.linger_seconds=0.1")
        with in_background(*capture) as daemon:
            daemon.wait_for("Capturing on")
            with running_ums(path / "ums", *settings, port=WEB, prefix=inside) as ums, in_background(*device) as one:
                one.wait_for("managed; listening")
                ums.call("profiles.edit", which="global", values={"x.y": "z"}, when="now")
                one.wait_for("settings version 2")  # the server has called
                daemon.wait_for(f"^{PUSH};[0-9]+;{SERVER_HELLO}")
                yield inside, daemon


def s_client(inside: tuple[str, ...], port: int, version: str, stdin: str = "") -> Finished:
    """Let openssl connect with one version of TLS only, however weak its ciphers."""
    options = () if version == "tls1_3" else ("-cipher", "ALL:@SECLEVEL=0")
    target = ("-connect", f"127.0.0.1:{port}", f"-{version}", *options)
    return run(*inside, "openssl", "s_client", *target, stdin=stdin.encode(), check=False)


def seen(daemon: Daemon) -> list[Seen]:
    """All that tshark has told so far."""
    rows = [line.split(";") for line in daemon.log.splitlines()]
    packets = [Seen(*row) for row in rows if len(row) == len(FIELDS)]
    # A ServerHello of TLS 1.2 may share its packet with the messages that follow.
    return [one._replace(handshake=one.handshake.partition(",")[0]) for one in packets]


def test_tshark_sees_one_version_on_each_port(place: tuple[tuple[str, ...], Daemon]) -> None:
    """Our two sides offer and choose nothing but TLS 1.2; whoever offers something else is told `protocol_version`."""
    inside, daemon = place
    ours = seen(daemon)
    refused = {(port, version) for port in OS11 for version in ("tls1", "tls1_1", "tls1_3")}
    refused |= {(WEB, version) for version in ("tls1", "tls1_1", "tls1_2")}
    for port, version in sorted(refused):
        done = s_client(inside, port, version)
        assert "SSL alert number 70" in done.err, (port, version)
    assert "New, TLSv1.3" in s_client(inside, WEB, "tls1_3").out
    daemon.wait_for(f"{WEB};[0-9]+;{SERVER_HELLO};.*;{TLS_13};")

    for port in (CONTACT, PUSH):
        said = {(one.handshake, one.version, one.supported) for one in ours if str(port) in one[:2] and one.handshake}
        assert {(CLIENT_HELLO, TLS_12, ""), (SERVER_HELLO, TLS_12, "")} == said
    everything = seen(daemon)
    hellos = {(one.source, one.supported or one.version) for one in everything if one.handshake == SERVER_HELLO}
    assert {(str(CONTACT), TLS_12), (str(PUSH), TLS_12), (str(WEB), TLS_13)} == hellos
    alerts = [one.source for one in everything if one.alert == PROTOCOL_VERSION]
    assert sorted(str(port) for port, _ in refused) == sorted(alerts)


@pytest.mark.parametrize("port", OS11)
def test_renegotiation_is_refused(place: tuple[tuple[str, ...], Daemon], port: int) -> None:
    """G14: an `R` typed into s_client asks for it on an open connection, which ends with `no_renegotiation`."""
    inside, _ = place
    done = s_client(inside, port, "tls1_2", "R\n")

    assert "New, TLSv1.2" in done.out
    assert "RENEGOTIATING" in done.out + done.err
    assert re.search("no renegotiation", done.err)


def test_nmap_enumerates_what_is_spoken(place: tuple[tuple[str, ...], Daemon]) -> None:
    """One version for each port, with forward secrecy; UDP 30005 is not there without `--address`."""
    inside, _ = place
    ports = ",".join(map(str, (WEB, *OS11)))
    done = run(*inside, "nmap", "-Pn", "-n", "-sT", "--script", "ssl-enum-ciphers", "-p", ports, "127.0.0.1")

    found: dict[int, set[str]] = {}
    for section in re.split(r"\n(?=\d+/tcp)", done.out)[1:]:
        port = int(section.partition("/")[0])
        found[port] = set(re.findall(r"TLSv1\.\d|SSLv3", section))
    assert {CONTACT: {"TLSv1.2"}, FILES: {"TLSv1.2"}, PUSH: {"TLSv1.2"}, WEB: {"TLSv1.3"}} == found
    assert "TLS_RSA_WITH" not in done.out
