# SPDX-License-Identifier: Apache-2.0
"""The commands of docs/discovery.md that need a lab: run as they stand there, in namespaces with other names."""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from umslab.dhcp.configurations import ServerKind, Wanted, configuration

from .dhcp_lab import CLIENT, SERVER, Lan, Pool, lan, serving
from .discovery_lab import dns, ums
from .strangers import REPOSITORY, in_background, need, run

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

DOCUMENT = (REPOSITORY / "docs" / "discovery.md").read_text(encoding="utf-8")
ASKING = re.findall(r"(?m)^\$ ip netns exec umslab-lab (umslab .*)$", DOCUMENT)
MAKING = re.findall(r"(?m)^\$ ((?:ip (?:netns add|-n)|for lab in).*)$", DOCUMENT)
QUICK = {"--clients 1000": "--clients 20"}


@pytest.fixture(scope="module")
def network(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lan]:
    """The lab, with a server that knows what the document says."""
    need("dnsmasq")
    folder = tmp_path_factory.mktemp("lab")
    record = f"host-record=igelrmserver.lab.example,{SERVER}"
    snippet = configuration(Wanted(SERVER, "HQ"), ServerKind.DNSMASQ)
    with lan() as names, dns(names, folder, record), ums(names, folder, "enrolment.automatic=true"):
        with serving("dnsmasq", snippet, folder, names, Pool()):
            yield names


@pytest.mark.parametrize("command", ASKING)
def test_asking(command: str, network: Lan, tmp_path: Path) -> None:
    """Each ends well; what holds a lease until Ctrl-C is interrupted."""
    for whole, small in QUICK.items():
        command = command.replace(whole, small)
    words = ("ip", "netns", "exec", network.client, sys.executable, "-m", *command.split())
    with in_background(*words, env={"UMSLAB_STATE": str(tmp_path)}) as running:
        if "--hold" in words:
            running.wait_for("has 10.77.0.1")
            running.signal(signal.SIGINT)
            running.wait_for("Gave 1 address back")
        assert 0 == running.wait(), running.log


@pytest.mark.usefixtures("network")  # skips where namespaces are not allowed
def test_making() -> None:
    """The lab of the document is the one that these tests make."""
    assert (9, 6) == (len(ASKING), len(MAKING))
    pid = os.getpid()
    names = {"umslab-lab": f"umslab-docs-c{pid}", "umslab-server": f"umslab-docs-s{pid}"}
    script = "\n".join(MAKING)
    for documented, ours in names.items():
        script = script.replace(documented, ours)
    shell = shutil.which("sh") or "sh"
    try:
        subprocess.run([shell, "-e", "-c", script], check=True)
        for name, address in ((names["umslab-server"], SERVER), (names["umslab-lab"], CLIENT)):
            shown = run("ip", "-n", name, "-br", "addr", "show", "eth0").out
            assert f"{address}/24" in shown
            assert "UP" in shown
    finally:
        for name in names.values():
            run("ip", "netns", "del", name, check=False)
