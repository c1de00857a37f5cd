# SPDX-License-Identifier: Apache-2.0
"""Tests of umslab_agent.os11.listening: who calls without being the device's server."""

from __future__ import annotations

from contextlib import asynccontextmanager, suppress
from typing import TYPE_CHECKING

import pytest
import trio

from tests.agent.os11.ums import DEVICES, SERVER, Os11Lab, Os11LabDevice, open_os11_lab
from tests.support.lab import EPOCH
from umslab_agent.nearby import Whereabouts, open_nearby
from umslab_agent.os11.keeping import new_certificate
from umslab_agent.os11.listening import MOST_CALLERS
from umslab_certs.keys import KeyType
from umslab_certs.tls import blind_context, blind_context_12
from umslab_protocol.machines.device_life import State
from umslab_protocol.values.failure import Reason
from umslab_protocol.values.host_port import HostPort
from umslab_protocol.wire.orders import CommandName, ResultState
from umslab_protocol.wire.probes import PROBE_PORT, read_scan_answer, write_scan
from umslab_runtime.connections import OVERFLOW
from umslab_runtime.dial_tls import dial_tls
from umslab_runtime.tls import TLSError, TLSProblem

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from trio.testing import MockClock

    from umslab_runtime.tls import TLSStream


async def _ready(lab: Os11Lab) -> Os11LabDevice:
    device = lab.device()
    await device.until_state(State.READY)
    return device


async def _dial(lab: Os11Lab, device: Os11LabDevice) -> TLSStream:
    target = HostPort(DEVICES, device.device.push_port)
    return await dial_tls(lab.ums.network, target, blind_context_12(), within=30.0)


async def _still_answers(lab: Os11Lab, device: Os11LabDevice) -> bool:
    result = await lab.ums.command(device.unit_id, CommandName.MESSAGE, text="still there?")
    return result.state == ResultState.SUCCESS


async def test_tls_1_3_is_refused(tmp_path: Path, autojump_clock: MockClock) -> None:
    """TLS 1.2 and nothing else (T1)."""
    async with open_os11_lab(tmp_path) as lab:
        device = await _ready(lab)
        target = HostPort(DEVICES, device.device.push_port)
        with pytest.raises(TLSError) as refused:
            await dial_tls(lab.ums.network, target, blind_context(), within=30.0)

        assert TLSProblem.ALERT is refused.value.problem
        assert 70 == refused.value.alert


async def test_a_key_of_another_certificate(tmp_path: Path, autojump_clock: MockClock) -> None:
    """Is told when the device boots, not when somebody calls it."""
    ones = [new_certificate(KeyType.P256, EPOCH) for _ in range(2)]
    mixed = ones[0].partition(b"-----BEGIN CERTIFICATE")[0] + b"".join(ones[1].partition(b"-----BEGIN CERTIFICATE")[1:])
    async with open_os11_lab(tmp_path) as lab:
        (tmp_path / "one").mkdir()
        (tmp_path / "one" / "device.pem").write_bytes(mixed)
        device = lab.device()
        await device.until_state(State.FAILED)
        failure = device.device.failure

    assert failure is not None
    assert Reason.STATE_DAMAGED is failure.reason
    assert "device.pem: the private key does not match the certificate" in failure.detail


@pytest.mark.parametrize("said", [b"", b"GET / HTTP/1.0\r\n\r\n", b"\0\0\0\0", b"\0\xff\xff\xff", b"\0\0\0\2{}", b"\7"])
async def test_whatever_is_said_the_device_goes_on(tmp_path: Path, autojump_clock: MockClock, said: bytes) -> None:
    """The caller is dropped in bounded time, without a word that tells anything."""
    async with open_os11_lab(tmp_path) as lab:
        device = await _ready(lab)
        stream = await _dial(lab, device)
        if said:
            await stream.send_all(said)
        heard = b""
        while data := await stream.receive_some():
            heard += data

        assert device.unit_id.encode() not in heard
        assert len(heard) < 500
        assert await _still_answers(lab, device)


@asynccontextmanager
async def _found(lab: Os11Lab) -> AsyncIterator[Os11LabDevice]:
    """A device that scans find on the port where it is called."""
    async with open_nearby(lab.network, Whereabouts(address=DEVICES, wake_port=None), checked=True) as nearby:
        device = lab.device(push_port=PROBE_PORT, nearby=nearby)
        await device.until_state(State.READY)
        yield device
        device.power_off()
        await device.over.wait()


async def _say(lab: Os11Lab, *parts: bytes) -> tuple[bytes, float]:
    """Say this without TLS, a second between the parts; return what is answered, and after how long the end came."""
    transport = await lab.ums.network.dial(HostPort(DEVICES, PROBE_PORT))
    began, heard = trio.current_time(), b""
    with suppress(trio.BrokenResourceError):
        for part in parts:
            await transport.send_all(part)
            await trio.sleep(1)
        while some := await transport.receive_some():
            heard += some
    transport.abort()
    return heard, trio.current_time() - began


async def test_scan_over_tcp_beside_tls(tmp_path: Path, autojump_clock: MockClock) -> None:
    """T14: told apart by the first byte, in one piece or in many; calls go on as before, and a scan sees no TLS."""
    probe = write_scan(bytes(16), 0)
    async with open_os11_lab(tmp_path) as lab, _found(lab) as device:
        for parts in ((probe,), (probe[:1], probe[1:7], probe[7:])):
            heard, _ = await _say(lab, *parts)
            found = read_scan_answer(heard)

            assert (device.unit_id, True) == (found.unit_id, found.has_ums)
        assert await _still_answers(lab, device)


@pytest.mark.parametrize(
    ("parts", "seconds"),
    [
        ((), 10),
        ((b"u",), 10),
        ((b"\x16",), 10),
        ((b"u",) * 30, 10),
        ((b"uSIM" + bytes(38),), 2),
        ((b"USIM" + bytes(38),), 3),
    ],
)
async def test_what_is_no_scan_holds_nothing(
    tmp_path: Path, autojump_clock: MockClock, parts: tuple[bytes, ...], seconds: float
) -> None:
    """Silent, slow and wrong peers get no answer to a scan and are gone in time, while the UMS is heard."""
    ends: list[tuple[bytes, float]] = []
    async with open_os11_lab(tmp_path) as lab, _found(lab) as device, trio.open_nursery() as nursery:

        async def say() -> None:
            ends.append(await _say(lab, *parts))

        nursery.start_soon(say)
        answered = await _still_answers(lab, device)

    ((heard, after),) = ends
    assert answered
    assert b"uSIM" not in heard
    assert after < seconds + 2


async def test_reset_before_the_first_byte(tmp_path: Path, autojump_clock: MockClock) -> None:
    """Neither TLS nor a scan, nor a defect of ours: the device goes on."""
    async with open_os11_lab(tmp_path) as lab, _found(lab) as device:
        assert lab.memory is not None
        await lab.ums.network.dial(HostPort(DEVICES, PROBE_PORT))
        await trio.sleep(1)
        lab.memory.reset(SERVER, DEVICES)
        await trio.sleep(1)

        assert await _still_answers(lab, device)


async def test_too_many_callers(tmp_path: Path, autojump_clock: MockClock) -> None:
    """Silent callers take the places; the next are told that the device is busy; when they are gone it answers."""
    async with open_os11_lab(tmp_path) as lab:
        device = await _ready(lab)
        silent = [await _dial(lab, device) for _ in range(MOST_CALLERS)]
        crowd = await _dial(lab, device)
        told = await crowd.receive_some()
        await trio.sleep(60)

        assert b'"busy"' in told
        assert OVERFLOW > 1
        assert await _still_answers(lab, device)
        for stream in silent:
            stream.abort()
