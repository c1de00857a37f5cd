# SPDX-License-Identifier: Apache-2.0
"""mDNS with a stranger: avahi sees our server, our browser sees what avahi announces, and noise stops nobody."""

from __future__ import annotations

import json
import re
import signal
import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import pytest

from .dhcp_lab import CLIENT, SERVER, Lan, lan
from .strangers import Daemon, Finished, in_background, need, run

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

PYTHON = (sys.executable, "-m")
QUICK = ("certificates.root_key=p-256", "certificates.web_key=p-256", "os11.key=p-256", "enrolment.automatic=true")
TYPE = "_umslab-ums._tcp"
BUS = """\
<busconfig>
  <listen>unix:path={path}</listen><auth>EXTERNAL</auth>
  <policy context="default">
    <allow user="*"/><allow own="*"/>
    <allow send_type="method_call"/><allow send_type="signal"/>
    <allow send_requested_reply="true" send_type="method_return"/>
    <allow send_requested_reply="true" send_type="error"/>
    <allow receive_type="method_call"/><allow receive_type="method_return"/>
    <allow receive_type="error"/><allow receive_type="signal"/>
  </policy>
</busconfig>
"""
AVAHI = "[server]\nhost-name=stranger\nuse-ipv6=no\n[publish]\npublish-workstation=no\n"
START = "mount -t tmpfs none /run && mkdir /run/avahi-daemon && exec avahi-daemon -f {file} --no-drop-root --no-chroot"
"""avahi keeps its place in /run: it gets one of its own, in the mount namespace that `ip netns exec` makes."""


@pytest.fixture(scope="module")
def network() -> Iterator[Lan]:
    """One LAN for all cases."""
    with lan() as names:
        yield names


def inside(name: str, *argv: str | Path) -> tuple[str | Path, ...]:
    """The command that runs this in a namespace."""
    return ("ip", "netns", "exec", name, *argv)


@contextmanager
def avahi(name: str, folder: Path) -> Iterator[dict[str, str]]:
    """Run avahi with a bus of its own in this namespace; what its clients need in their environment."""
    need("avahi-daemon", "avahi-browse", "avahi-publish", "dbus-daemon")
    bus, file = folder / "bus.conf", folder / "avahi.conf"
    bus.write_text(BUS.format(path=folder / "bus"))
    file.write_text(AVAHI)
    environment = {"DBUS_SYSTEM_BUS_ADDRESS": f"unix:path={folder / 'bus'}"}
    with in_background("dbus-daemon", f"--config-file={bus}", "--nofork", "--print-address") as daemon:
        daemon.wait_for("unix:path")
        start = inside(name, "sh", "-c", START.format(file=file))
        with in_background(*start, env=environment) as responder:
            responder.wait_for("Server startup complete")
            yield environment


@contextmanager
def serving(where: Lan, folder: Path, *options: str, listen: str = SERVER) -> Iterator[Daemon]:
    """Run our UMS, and wait until it is announced."""
    settings = [word for setting in QUICK for word in ("--set", setting)]
    command = ("umslab", "serve", "--state", folder / "ums", "--listen", listen, "--allow-remote", "--mdns")
    with in_background(*inside(where.server, *PYTHON, *command, *settings, *options)) as daemon:
        daemon.wait_for("announced by mDNS")
        yield daemon


def found(name: str) -> list[dict[str, Any]]:
    """What our browser finds in a namespace."""
    done = run(*inside(name, *PYTHON, "tests.foreign.mdns_ask"))
    return [json.loads(line) for line in done.out.splitlines()]


def device(where: Lan, folder: Path, *options: str) -> Finished:
    """Run a device that has nothing but mDNS until it is managed, or fails."""
    verb = ("umslab", "device", "--state", folder / "device", "--once", "--json", "--sources", "stored,mdns")
    return run(*inside(where.client, *PYTHON, *verb, *options), check=False)


def decisions(done: Finished) -> list[tuple[str, str]]:
    """Source and reason of all that discovery told."""
    lines = [json.loads(line) for line in done.out.splitlines()]
    return [(one["data"]["source"], one["data"]["reason"]) for one in lines if one.get("event") == "discovery"]


def test_avahi_sees_our_server(network: Lan, tmp_path: Path) -> None:
    """Name, address, port and TXT as announced; gone as soon as the server stops."""
    browse = inside(network.client, "avahi-browse", "--resolve", "--parsable", TYPE)
    name = r"umslab\\032of\\032the\\032test"  # as avahi writes it, in a pattern
    with (
        avahi(network.client, tmp_path) as environment,
        serving(network, tmp_path, "--set", "mdns.name=umslab of the test") as server,
        in_background(*browse, env=environment) as browser,
    ):
        line, service = browser.wait_for(rf"=;eth0;IPv4;{name};{TYPE};local;umslab-[0-9a-f]+.local;{SERVER};8443;(.*)")
        assert {'"txtvers=1"', '"product=umslab simulation"'} == set(re.findall('"[^"]*"', service[1]))
        status = run(*PYTHON, "umslab", "ctl", "status", "--state", tmp_path / "ums", "--json").out
        places = json.loads(status)["status"]["mdns"]
        assert [{"name": "umslab of the test", "interface": "eth0", "addresses": [SERVER]}] == places
        shown = run(*PYTHON, "umslab", "ctl", "status", "--state", tmp_path / "ums").out
        assert f"'umslab of the test' at {SERVER} on eth0" in shown
        server.signal(signal.SIGTERM)
        browser.wait_for(rf"-;eth0;IPv4;{name}", after=line)
        assert 0 == server.wait()


def test_our_browser_sees_avahi(network: Lan, tmp_path: Path) -> None:
    """What avahi publishes is found, with or without a TXT record; another version of it is not."""
    with avahi(network.server, tmp_path) as environment:
        publish = inside(network.server, "avahi-publish", "-s")
        with (
            in_background(*publish, "one", TYPE, "8443", env=environment) as one,
            in_background(*publish, "two: ä", TYPE, "8444", "txtvers=1", "more=x", env=environment) as two,
            in_background(*publish, "other", TYPE, "8445", "txtvers=2", env=environment) as other,
        ):
            for publisher in (one, two, other):
                publisher.wait_for("Established")
            expected = [("one", 8443, [SERVER]), ("two: ä", 8444, [SERVER])]
            assert expected == [(here["name"], here["port"], here["addresses"]) for here in found(network.client)]


def test_device_by_mdns_alone(network: Lan, tmp_path: Path) -> None:
    """It registers automatically and is managed, while somebody floods the link with hostile packets."""
    noise = inside(network.client, *PYTHON, "tests.foreign.mdns_noise", CLIENT)
    with serving(network, tmp_path), in_background(*noise) as noisy:
        noisy.wait_for("all kinds were sent")
        done = device(network, tmp_path, "--i-own", SERVER)
        assert 0 == done.code, f"{decisions(done)}\n{done.out}{done.err}"
        assert "Traceback" not in done.err
        assert ("mdns", "taken") == decisions(done)[-1]

        again = device(network, tmp_path)
        assert [("stored", "found")] == decisions(again)[:1]


def test_free_in_a_network_of_ours(network: Lan, tmp_path: Path) -> None:
    """In a namespace that umslab made, what is announced is called without --i-own."""
    with serving(network, tmp_path):
        done = device(network, tmp_path)

        assert 0 == done.code
        assert ("mdns", "target-refused") not in decisions(done)


def test_loopback_answers_nobody_else(network: Lan, tmp_path: Path) -> None:
    """A server on loopback is not heard on the link, and does not answer a question that comes from there."""
    with serving(network, tmp_path, listen="127.0.0.1"):
        assert ["127.0.0.1"] == found(network.server)[0]["addresses"]
        ask = f"""\
import socket
with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
    sock.settimeout(30)
    sock.connect(({SERVER!r}, 5353))
    sock.send(b"\\0\\0\\0\\0\\0\\1\\0\\0\\0\\0\\0\\0\\x0b_umslab-ums\\4_tcp\\5local\\0\\0\\x0c\\0\\1")
    try:
        print(sock.recv(9000))
    except ConnectionRefusedError:
        print("nobody")
"""
        assert "nobody" == run(*inside(network.client, sys.executable, "-c", ask)).out.strip()


def test_port_in_use(network: Lan, tmp_path: Path) -> None:
    """A program that does not share port 5353 is told of, in one sentence."""
    hold = (
        "import socket, sys; s = socket.socket(2, 2); s.bind(('', 5353)); print('held', flush=True); sys.stdin.read()"
    )
    with in_background(*inside(network.client, sys.executable, "-c", hold)) as holder:
        holder.wait_for("held")
        done = device(network, tmp_path)

    assert ("mdns", "unreachable") == decisions(done)[-1]
    assert "UDP port 5353 is in use by a program that does not share it" in done.out
    assert "Traceback" not in done.err
