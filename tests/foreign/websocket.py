# SPDX-License-Identifier: Apache-2.0
"""WebSocket by npm's ws: the client and the server of npm/*.js, with their events as values."""

from __future__ import annotations

import json
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tests.support import schemas

from .strangers import NODE_MODULES, Daemon, in_background, need_npm_package
from .ums import WS_PATH

if TYPE_CHECKING:
    from collections.abc import Iterator

    from .openssl import Identity
    from .ums import Ums

SUBPROTOCOL = "umslab.session.v1"
SCRIPTS = Path(__file__).with_name("npm")


class Events:
    """What a script tells, in order; each `wait_for` goes on where the last one ended."""

    def __init__(self, daemon: Daemon) -> None:
        self._daemon = daemon
        self._seen = 0

    def wait_for(self, event: str) -> dict[str, Any]:
        """Wait for the next event of this name; others before it are passed over."""
        self._seen, found = self._daemon.wait_for(rf'^{{"event":"{event}".*', after=self._seen)
        told: dict[str, Any] = json.loads(found.group(0))
        return told

    def wait_for_message(self, kind: str) -> dict[str, Any]:
        """Wait for the next message of this type that a server hears; all before it are as their schemas say too."""
        while True:
            message: dict[str, Any] = self.wait_for("message")["message"]
            schemas.check(message)
            if message["type"] == kind:
                return message

    def next(self) -> dict[str, Any]:
        """Wait for whatever comes next."""
        self._seen, found = self._daemon.wait_for(r"^\{.*", after=self._seen)
        told: dict[str, Any] = json.loads(found.group(0))
        return told


class WsClient(Events):
    """A connection made by npm's ws."""

    def __init__(self, daemon: Daemon) -> None:
        super().__init__(daemon)
        self._input = daemon

    def do(self, what: str, how: object) -> None:
        """Give an order: text, binary, fill, fragments, ping or close."""
        self._input.write(json.dumps({"do": what, "with": how}))

    def say(self, **message: object) -> None:
        """Send a JSON message."""
        self.do("text", json.dumps(message))

    def hear(self) -> dict[str, Any]:
        """Wait for the next JSON message, which is as its schema says."""
        heard: dict[str, Any] = json.loads(self.wait_for("message")["text"])
        schemas.check(heard)
        return heard

    def ask(self, **message: object) -> dict[str, Any]:
        """Send a JSON message that wants an answer; return it. What the server asks meanwhile is acknowledged."""
        self.say(**message)
        while True:
            heard = self.hear()
            if "id" in heard:
                self.say(type="ack", re=heard["id"])
            if heard.get("re") == message["id"]:
                return heard

    def greet(self, unit_id: str) -> dict[str, Any]:
        """Say hello; returns the welcome."""
        self.say(type="hello", versions=[1], unitID=unit_id, firmwareVersion="12.8.4")
        return self.hear()


@contextmanager
def ws_client(
    ums: Ums, identity: Identity | None, *, protocols: tuple[str, ...] = (SUBPROTOCOL,)
) -> Iterator[WsClient]:
    """Open `ws-connect`, or try to, with a certificate or without."""
    options: dict[str, Any] = {"url": f"wss://{ums.address}{WS_PATH}", "ca": str(ums.root), "protocols": protocols}
    if identity is not None:
        options |= {"cert": str(identity.certificate), "key": str(identity.key)}
    with _node("client.js", json.dumps(options)) as daemon:
        yield WsClient(daemon)


@contextmanager
def ws_server() -> Iterator[tuple[Events, int]]:
    """Run the management server of npm/server.js; yields its events and its port."""
    with _node("server.js") as daemon:
        events = Events(daemon)
        yield events, events.wait_for("listening")["port"]


@contextmanager
def _node(script: str, *arguments: str) -> Iterator[Daemon]:
    need_npm_package("ws")
    with in_background("node", SCRIPTS / script, *arguments, env={"NODE_PATH": str(NODE_MODULES)}) as daemon:
        yield daemon
