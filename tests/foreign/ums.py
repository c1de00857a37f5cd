# SPDX-License-Identifier: Apache-2.0
"""`umslab serve` and `umslab device` as a user starts them: subprocesses."""

from __future__ import annotations

import json
import re
import sys
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import trio

from umslab_runtime.control import connect_control

from .strangers import Daemon, Finished, in_background, run

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

UMSLAB = Path(sys.executable).with_name("umslab")
EST_PATH = "/device-connector/device/.well-known/est"
WS_PATH = "/device-connector/device/ws-connect"
MASS_KEY = "foreign-mass-key"
_QUICK = ("certificates.root_key=p-256", "certificates.web_key=p-256", "os11.key=p-256")


@dataclass(frozen=True)
class Ums:
    """A running server: what its ready file says, and what it prints."""

    address: str
    root: Path
    token: str
    control: Path
    state: Path
    daemon: Daemon

    @property
    def port(self) -> int:
        """The TCP port."""
        return int(self.address.rpartition(":")[2])

    def url(self, path: str) -> str:
        """The URL of a path."""
        return f"https://{self.address}{path}"

    def call(self, name: str, **args: Any) -> Any:
        """Ask over the control socket."""
        return trio.run(_call, self.control, name, args)


async def _call(control: Path, name: str, args: dict[str, Any]) -> Any:
    with trio.fail_after(20):
        async with connect_control(control) as client:
            return await client.call(name, **args)


@contextmanager
def running_ums(
    state: Path, *settings: str, env: Mapping[str, str] | None = None, port: int = 0, prefix: Sequence[str] = ()
) -> Iterator[Ums]:
    """Serve as long as the block lasts, with a mass-deployment key; `settings` are for --set.

    `prefix` is what the command begins with: `ip netns exec ...`.

    In the end the server must stop in order, whatever strangers did to it, without a defect in its log.
    """
    ready = state / "ready.json"
    state.mkdir(parents=True, exist_ok=True)
    sets = [word for setting in (*_QUICK, *settings) for word in ("--set", setting)]
    with in_background(
        *prefix, UMSLAB, "serve", "--state", state, "--port", str(port), "--ready-file", ready, *sets, env=env
    ) as daemon:
        daemon.wait_for(r"^  state folder ")  # printed when the ready file is complete
        about = json.loads(ready.read_text())
        ums = Ums(about["addresses"][0], Path(about["root"]), about["token"], Path(about["control"]), state, daemon)
        if not ums.call("keys.list"):
            ums.call("keys.create", kind="mass", chosen=MASS_KEY)
        yield ums
        assert daemon.stop() == 0, daemon.log
        assert not re.search(r"defect|Traceback", daemon.log), daemon.log


def run_device(target: str, state: Path, token: str, *, auth_key: str = MASS_KEY) -> tuple[Finished, dict[str, Any]]:
    """Run our device once; returns how it ended and the last thing it told."""
    finished = run(
        *(UMSLAB, "device", target, "--auth-key", auth_key, "--token", token),
        *("--state", state, "--once", "--json"),
        check=False,
    )
    told = [json.loads(line) for line in finished.out.splitlines()]
    return finished, told[-1] if told else {}
