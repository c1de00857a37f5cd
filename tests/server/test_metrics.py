# SPDX-License-Identifier: Apache-2.0
"""Tests of umslab_server.metrics: what happened on a whole server is what a scrape tells."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import trio

from tests.support import prometheus
from umslab_protocol.values.host_port import parse_host_port
from umslab_protocol.wire.messages import Ack, Command, PullSettings, Result, SettingsMessage
from umslab_protocol.wire.orders import CommandName, ResultState
from umslab_server.commanding.selectors import Selector
from umslab_server.config import MetricsConfig
from umslab_server.service_model import ServiceModel

from .parts import Endpoint
from .world import SERVER, World, config, open_world

if TYPE_CHECKING:
    from prometheus_client import Metric
    from trio.testing import MockClock

DOCUMENT = Path(__file__).parents[2] / "docs" / "server.md"
METERED = config(metrics=MetricsConfig(port=0, listen=SERVER))


async def scrape(world: World) -> dict[str, Metric]:
    """Ask the port for metrics."""
    assert world.ready.metrics is not None
    transport = await world.network.dial(parse_host_port(world.ready.metrics))
    await transport.send_all(b"GET /metrics HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
    answer = b""
    while data := await transport.receive_some():
        answer += data
    transport.abort()
    return prometheus.read(answer.partition(b"\r\n\r\n")[2].decode())


async def test_off_by_default(tmp_path: Path) -> None:
    """No port, no probe."""
    async with open_world(tmp_path) as world:
        assert world.ready.metrics is None


async def test_names_labels_and_documents(tmp_path: Path, autojump_clock: MockClock) -> None:
    """A linter has nothing to say, and every family stands in the document."""
    async with open_world(tmp_path, METERED, service_model=ServiceModel()) as world:
        _, _, line = await world.device()
        await world.call("GET", "/secret/of/somebody")
        families = await scrape(world)
        await line.hang_up()
    documented = set(re.findall(r"^\| `((?:umslab|process)_\w+)", DOCUMENT.read_text(encoding="utf-8"), re.MULTILINE))
    told = {f"{name}_total" if family.type == "counter" else name for name, family in families.items()}

    assert [] == prometheus.problems(families)
    assert 1 == prometheus.value(families, "umslab_http_requests_total", path="other", status="404")
    assert documented == told


async def test_devices_sessions_and_requests(tmp_path: Path, autojump_clock: MockClock) -> None:
    """Two enrolled, one of them here; what was asked, and what was answered."""
    async with open_world(tmp_path, METERED) as world:
        (key,) = await world.services.keys.create("mass", actor="test")  # type: ignore[arg-type]
        assert 200 == (await world.enrol(Endpoint(1), key.secret or "")).status
        assert 401 == (await world.enrol(Endpoint(2), "wrong")).status
        _, _, line = await world.device(3)
        families = await scrape(world)
        await line.hang_up()

    est, connect = "/device-connector/device/.well-known/est", "/device-connector/device/ws-connect"
    expected: list[tuple[float, str, dict[str, str]]] = [
        (1, "umslab_devices", {"state": "online"}),
        (1, "umslab_devices", {"state": "offline"}),
        (1, "umslab_sessions", {}),
        (1, "umslab_connections", {}),
        (3, "umslab_connections_accepted_total", {}),
        (3, "umslab_tls_handshakes_total", {"outcome": "done"}),
        (1, "umslab_http_requests_total", {"path": f"{est}/simpleenroll", "status": "200"}),
        (1, "umslab_http_requests_total", {"path": f"{est}/simpleenroll", "status": "401"}),
        (1, "umslab_http_requests_total", {"path": connect, "status": "101"}),
        (1, "umslab_enrolments_total", {"operation": "enrol", "outcome": "issued"}),
        (1, "umslab_enrolments_total", {"operation": "enrol", "outcome": "wrong-key"}),
        (1, "umslab_messages_received_total", {"type": "hello"}),
        (0, "umslab_store_changes_waiting", {}),
    ]
    assert expected == [(prometheus.value(families, name, **labels), name, labels) for _, name, labels in expected]


async def test_settings_and_commands(tmp_path: Path, autojump_clock: MockClock) -> None:
    """Sent, acknowledged, done; the messages both ways."""
    async with open_world(tmp_path, METERED) as world:
        _, _, line = await world.device()
        await line.send(PullSettings(id=1))
        settings = await line.next()
        assert isinstance(settings, SettingsMessage)
        await line.send(Ack(re=settings.id))
        await world.services.commands.start(CommandName.REBOOT, Selector(everyone=True), actor="test")
        command = await line.next()
        assert isinstance(command, Command)
        under_way = await scrape(world)
        await line.send(Result(re=command.id, execID=command.execID, state=ResultState.SUCCESS))
        await trio.sleep(1)
        families = await scrape(world)
        await line.hang_up()

    assert (1, 1) == tuple(
        prometheus.value(under_way, name) for name in ("umslab_commands_open", "umslab_command_threads_busy")
    )
    expected: list[tuple[float, str, dict[str, str]]] = [
        (0, "umslab_commands_open", {}),
        (1, "umslab_command_states_total", {"state": "sent"}),
        (1, "umslab_command_states_total", {"state": "success"}),
        (1, "umslab_settings_total", {"outcome": "sent"}),
        (1, "umslab_settings_total", {"outcome": "acknowledged"}),
        (1, "umslab_messages_received_total", {"type": "pullsettings"}),
        (1, "umslab_messages_sent_total", {"type": "settings"}),
        (1, "umslab_messages_sent_total", {"type": "command"}),
    ]
    assert expected == [(prometheus.value(families, name, **labels), name, labels) for _, name, labels in expected]


async def test_a_registry_that_cannot_be_read(tmp_path: Path, autojump_clock: MockClock) -> None:
    """The rest is told all the same."""
    async with open_world(tmp_path, METERED) as world:
        await scrape(world)
        world.services.store._read_connection.exec_driver_sql("DROP TABLE device")
        families = await scrape(world)

    assert [] == families["umslab_devices"].samples
    assert 0 == prometheus.value(families, "umslab_sessions")


@pytest.mark.parametrize("kind", ["umslab_store_commit_seconds", "umslab_event_loop_lag_seconds"])
async def test_histograms_fill(tmp_path: Path, autojump_clock: MockClock, kind: str) -> None:
    """Commits and the probe are counted."""
    async with open_world(tmp_path, METERED) as world:
        await trio.sleep(1)
        families = await scrape(world)

    assert (prometheus.value(families, f"{kind}_count") or 0) > 0
