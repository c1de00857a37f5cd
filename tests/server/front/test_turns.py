# SPDX-License-Identifier: Apache-2.0
"""Tests of umslab_server.front.turns, on a whole server in virtual time."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

import msgspec
import pytest
import trio

from tests.server.parts import Endpoint, unit_id
from tests.server.world import World, open_world
from umslab_protocol.machines.carrier import Closed
from umslab_protocol.wire import paths
from umslab_protocol.wire.close_codes import REFUSAL_HEADER, CloseCode
from umslab_protocol.wire.inventory import DeviceInfo
from umslab_protocol.wire.messages import Ack, Error, PullSettings, SettingsMessage, Welcome
from umslab_runtime.http import Response
from umslab_server.front.turns import QUEUE_FULL
from umslab_server.service_model import Distribution, ServiceModel, ServiceTime, ServiceTimes

from .test_ws_connect import OPENING

if TYPE_CHECKING:
    from pathlib import Path

    from trio.testing import MockClock

INFO = DeviceInfo(unitID=unit_id(1), mac=unit_id(1), firmwareVersion="12.8.4", productId="UD3-LX")
KINDS = [field.name for field in msgspec.structs.fields(ServiceTimes)]


def model(
    means: dict[str, float], *, workers: int = 1, queue: int | None = None, status: Literal[503, 429] = 503
) -> ServiceModel:
    """A model whose times are constant, and 0 where nothing is said."""
    times = {kind: ServiceTime(mean=means.get(kind, 0.0), distribution=Distribution.CONSTANT) for kind in KINDS}
    return ServiceModel(
        workers=workers,
        queue=queue,
        reject_status=status,
        retry_after_seconds=7.5,
        times=ServiceTimes(**times),
    )


async def together(world: World, count: int, path: str = f"{paths.EST}/cacerts") -> list[tuple[Response, float]]:
    """Ask for something on so many connections at the same time; the answers, and the seconds they took, in order."""
    answers: list[tuple[Response, float]] = []
    began = trio.current_time()

    async def ask() -> None:
        answer = await world.call("GET", path)
        answers.append((answer, round(trio.current_time() - began, 1)))

    async with trio.open_nursery() as nursery:
        for _ in range(count):
            nursery.start_soon(ask)
    return answers


async def test_waits_grow(tmp_path: Path, autojump_clock: MockClock) -> None:
    """Six at once for two workers of ten seconds."""
    async with open_world(tmp_path, service_model=model({"cacerts": 10.0}, workers=2)) as world:
        answers = await together(world, 6)

    assert [10.0, 10.0, 20.0, 20.0, 30.0, 30.0] == [seconds for _, seconds in answers]
    assert {200} == {answer.status for answer, _ in answers}


@pytest.mark.parametrize("status", [503, 429])
async def test_a_full_queue_rejects(tmp_path: Path, autojump_clock: MockClock, status: Literal[503, 429]) -> None:
    """At once, with the status and the Retry-After of the file; who is in the queue is served."""
    async with open_world(tmp_path, service_model=model({"cacerts": 10.0}, queue=1, status=status)) as world:
        answers = await together(world, 5)
        later = await world.call("GET", f"{paths.EST}/cacerts")

    assert [(status, 0.0)] * 3 + [(200, 10.0), (200, 20.0)] == [(answer.status, seconds) for answer, seconds in answers]
    assert {"8"} == {answer.header("retry-after") for answer, _ in answers[:3]}
    assert f"{QUEUE_FULL}\n".encode() == answers[0][0].body
    assert 200 == later.status


@pytest.mark.parametrize(
    ("method", "path", "kind"),
    [
        ("GET", f"{paths.EST}/cacerts", "cacerts"),
        ("GET", f"{paths.EST}/csrattrs", "cacerts"),
        ("POST", f"{paths.EST}/simpleenroll", "enrol"),
        ("POST", f"{paths.EST_ALIAS}/simpleenroll", "enrol"),
        ("POST", f"{paths.EST}/simplereenroll", "renew"),
        ("POST", paths.REGISTRATION_TOKEN, "token"),
        ("GET", paths.WS_CONNECT, "connect"),
        ("GET", f"{paths.FILES}/{'0' * 64}", "file"),
        ("GET", paths.CHECK_STATUS, None),
        ("GET", paths.INFO, None),
        ("GET", "/nothing", None),
        ("DELETE", f"{paths.EST}/cacerts", None),
    ],
)
async def test_each_path_has_its_time(
    tmp_path: Path, autojump_clock: MockClock, method: str, path: str, kind: str | None
) -> None:
    """Its own, and only that; monitors, and what is refused by the router, take no turn."""
    means = {name: 100.0 + number for number, name in enumerate(KINDS)}
    async with open_world(tmp_path, service_model=model(means)) as world:
        began = trio.current_time()
        await world.call(method, path, body=b"" if method == "POST" else None)
        seconds = round(trio.current_time() - began)

    assert (means[kind] if kind else 0) == seconds


async def test_a_session_waits_for_each_message(tmp_path: Path, autojump_clock: MockClock) -> None:
    """Hello, system information, settings; acknowledgements take no turn."""
    times = model({"hello": 5.0, "system_information": 10.0, "settings": 20.0, "report": 1000.0})
    async with open_world(tmp_path, service_model=times) as world:
        endpoint = Endpoint(1)
        certificate = await world.certificate(endpoint)
        began = trio.current_time()
        line = await world.open(endpoint, certificate)
        assert not isinstance(line, Response)
        await line.next()
        info = await line.tell(INFO)
        told = trio.current_time()
        await line.send(PullSettings(id=2))
        settings = await line.next()
        pulled = trio.current_time()
        assert isinstance(settings, SettingsMessage)
        await line.send(Ack(re=settings.id))
        await trio.sleep(1)
        (device,) = await world.services.registry.list_devices()
        await line.hang_up()

    assert isinstance(info, Ack)
    assert (15, 20) == (round(told - began), round(pulled - told))
    assert "APPLIED" == device.config_changes


async def test_rejected_messages(tmp_path: Path, autojump_clock: MockClock) -> None:
    """An error `busy` that names the message; nothing of it is kept, and the session goes on."""
    async with open_world(tmp_path, service_model=model({"cacerts": 30.0}, queue=0)) as world:
        _, _, line = await world.device()
        async with trio.open_nursery() as nursery:
            nursery.start_soon(world.call, "GET", f"{paths.EST}/cacerts")
            await trio.sleep(1)
            refused = await line.tell(INFO, number=5)
        stored = await line.tell(INFO, number=6)
        await line.hang_up()

    assert Error(code="busy", message=QUEUE_FULL, re=5) == refused
    assert Ack(re=6) == stored


async def test_rejected_openings(tmp_path: Path, autojump_clock: MockClock) -> None:
    """`ws-connect` is refused as by a busy registry; a hello that finds the queue full ends its session with 1013."""
    times = model({"cacerts": 30.0}, queue=0)
    async with open_world(tmp_path, service_model=times) as world:
        endpoint = Endpoint(1)
        certificate = await world.certificate(endpoint)
        line = await world.open(endpoint, certificate, hello=False)
        assert not isinstance(line, Response)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(world.call, "GET", f"{paths.EST}/cacerts")
            await trio.sleep(1)
            refused = await world.call(
                "GET", paths.WS_CONNECT, headers=OPENING, context=world.context(endpoint, certificate)
            )
            await line.flush()
            said = [await line.next(), await line.next()]
        events = [event.kind for event in await world.events()]

    assert (503, "busy", "8") == (refused.status, refused.header(REFUSAL_HEADER), refused.header("retry-after"))
    assert isinstance(said[0], Welcome)
    assert isinstance(said[1], Closed)
    assert (CloseCode.BUSY, QUEUE_FULL) == (said[1].code, said[1].reason)
    assert 1 == events.count("device-connected")


async def test_who_gives_up_keeps_the_turn(tmp_path: Path, autojump_clock: MockClock) -> None:
    """The server does not know: the next one waits for a request that nobody waits for any more."""
    async with open_world(tmp_path, service_model=model({"cacerts": 30.0})) as world:
        with trio.move_on_after(1):
            await world.call("GET", f"{paths.EST}/cacerts")
        ((answer, seconds),) = await together(world, 1)

    assert (200, 59.0) == (answer.status, seconds)


async def test_the_same_run_twice(tmp_path: Path, autojump_clock: MockClock) -> None:
    """One seed, one sequence of waits."""
    runs = []
    for name in ("one", "two"):
        times = ServiceModel(workers=2, seed=5, times=ServiceTimes(cacerts=ServiceTime(mean=3.0)))
        (tmp_path / name).mkdir()
        async with open_world(tmp_path / name, service_model=times) as world:
            runs.append([seconds for _, seconds in await together(world, 10)])

    assert runs[0] == runs[1]
    assert len(set(runs[0])) > 5


async def test_the_end_does_not_wait_for_the_queue(tmp_path: Path, autojump_clock: MockClock) -> None:
    """A server that is told to stop ends within its drain time, however long its queue is."""
    async with open_world(tmp_path, service_model=model({"cacerts": 3_600.0})) as world:
        with trio.move_on_after(1):
            await world.call("GET", f"{paths.EST}/cacerts")
        began = trio.current_time()
        await world.stop()

        assert trio.current_time() - began <= world.config.drain_seconds + 1
