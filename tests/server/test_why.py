# SPDX-License-Identifier: Apache-2.0
"""Tests of umslab_server.why."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec
import pytest

from umslab_protocol.machines.carrier import Closed
from umslab_protocol.wire.close_codes import CloseCode
from umslab_protocol.wire.inventory import AppState, FileState, InstallState
from umslab_protocol.wire.messages import Hello
from umslab_server import registry
from umslab_server.sessions import Admitted, LiveSession
from umslab_server.tables import approval, execution, task
from umslab_server.why import NAMED_AT_MOST, Why

from .parts import Office, open_office, unit_id
from .pumps import RecordingPump

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from umslab_server.store import Writer

ONE = unit_id(1)


@pytest.fixture
async def office(tmp_path: Path) -> AsyncIterator[Office]:
    """Services on an empty registry."""
    async with open_office(tmp_path) as office:
        yield office


async def _told(office: Office) -> str:
    return "\n".join(await Why(office.store, office.presence, clock=office.clock).explain(ONE))


async def _connect(office: Office) -> LiveSession:
    admitted = await office.admit(await office.device(1))
    assert isinstance(admitted, Admitted)
    session = LiveSession(admitted, "s1", RecordingPump())
    await office.sessions.received(session, Hello(versions=[1], unitID=ONE, firmwareVersion="12.8.4", boot="1"))
    return session


async def test_a_stranger(office: Office) -> None:
    """Nothing is known of it, and that is said."""
    assert await _told(office) == f"No device with the unit ID {ONE} is in the registry."


async def test_a_stranger_who_was_refused(office: Office) -> None:
    """The last refusal is the reason one looks for."""
    await office.store.change(
        lambda writer: writer.event("enrolment-refused", actor="192.0.2.7", unit_id=ONE, cause="wrong-key")
    )

    assert "Its last enrolment from 192.0.2.7 was refused at 2026-01-0" in await _told(office)
    assert "wrong-key" in await _told(office)


async def test_waiting_for_approval(office: Office) -> None:
    """What to type stands in the sentence."""

    def ask(writer: Writer) -> None:
        writer.connection.execute(
            approval.insert().values(
                unit_id=ONE, public_key="", source="", state="waiting", asked_at=writer.stamp, decided_at=None
            )
        )

    await office.store.change(ask)

    assert f"waits for `umslab ctl approve {ONE}`" in await _told(office)


async def test_online_and_offline(office: Office) -> None:
    """Since when, from where; and afterwards who ended it and why."""
    session = await _connect(office)
    online = await _told(office)
    office.sessions.left(session, Closed(CloseCode.SILENT, "no pong came in time", by_peer=False))
    await office.store.check()
    offline = await _told(office)

    assert "It is online since 2026-01-0" in online
    assert "is valid until 2027-01-0" in online
    assert "the server ended the session with code 4008: no pong came in time" in offline


async def test_deleted(office: Office) -> None:
    """It will be told at its next connection."""
    session = await _connect(office)
    office.sessions.left(session, Closed(CloseCode.NORMAL, "", by_peer=True))
    await office.registry.purge(ONE, actor="test")

    assert "will be told so at its next connection" in await _told(office)


async def test_in_the_bin_and_revoked(office: Office) -> None:
    """The bin is named with the vendor's code, the revocation with its reason."""
    await _connect(office)
    await office.registry.delete(ONE, actor="test")
    await office.registry.revoke(ONE, actor="test", reason="stolen")
    told = await _told(office)

    assert "error 38" in told
    assert "no certificate that counts" in told
    assert "stolen" in told


@pytest.mark.parametrize(("when", "words"), [("now", "They are sent"), ("reboot", "kept for its next boot")])
async def test_pending_settings(office: Office, when: str, words: str) -> None:
    """Why they have not arrived."""
    await _connect(office)

    def change(writer: Writer) -> None:
        registry.update(writer, ONE, settings_digest="abc", settings_when=when)
        writer.event("settings-changed", actor="ctl", cause="profile 'office' was edited")

    await office.store.change(change)
    await office.store.change(
        lambda writer: writer.event("settings-changed", actor="ctl", unit_id="02AABBCCDDFF", cause="of another device")
    )
    told = await _told(office)

    assert "PENDING; the last change was profile 'office' was edited" in told
    assert words in told


async def test_open_commands(office: Office) -> None:
    """A command that waits for the next boot is named."""
    await _connect(office)

    def keep(writer: Writer) -> None:
        number = writer.connection.execute(
            execution.insert().values(
                exec_id="ID-1", command="reboot", actor="ctl", created_at=writer.stamp, timeout_seconds=30,
                parallel=1, delay_seconds=0, retry_at_boot=1,
            )
        ).inserted_primary_key  # fmt: skip
        assert number is not None
        writer.connection.execute(
            task.insert().values(execution_id=number[0], unit_id=ONE, mac=ONE, state="at-next-boot")
        )

    await office.store.change(keep)

    assert "The command reboot (ID-1) is kept for its next boot." in await _told(office)


async def test_a_web_root_that_it_missed(office: Office) -> None:
    """Error 46 is foretold, until the device has shown that it knows the new root."""
    session = await _connect(office)
    office.sessions.left(session, Closed(CloseCode.NORMAL, "", by_peer=True))
    await office.store.change(lambda writer: writer.event("web-root-missed", actor="ctl", unit_id=ONE))
    missed = await _told(office)
    await office.store.change(lambda writer: writer.event("roots-acknowledged", actor="device", unit_id=ONE))

    assert "refuses this server with error 46" in missed
    assert "error 46" not in await _told(office)


async def test_what_the_device_could_not_do(office: Office) -> None:
    """Settings that it refused, files and apps that failed, in its own words."""
    await _connect(office)
    apps = [AppState(name=f"a{number}", version="1", state=InstallState.FAILED) for number in range(NAMED_AT_MOST + 2)]
    files = [FileState(name="f", sha256="0", state=InstallState.FAILED, message="no space left")]

    def change(writer: Writer) -> None:
        registry.update(
            writer, ONE, settings_digest="abc", settings_version=7, apps=msgspec.json.encode(apps).decode(),
            files=msgspec.json.encode(files).decode(),
        )  # fmt: skip
        writer.event("settings-refused", actor="device", unit_id=ONE, cause="not-stored: disk full", version=7)

    await office.store.change(change)
    told = await _told(office)
    await office.store.change(lambda writer: registry.update(writer, ONE, settings_version=8))

    assert "They were sent, and it could not keep them: not-stored: disk full." in told
    assert "The file f could not be installed: no space left." in told
    assert told.count("it does not say why") == NAMED_AT_MOST
    assert "Nor could 2 more apps" in told
    assert "disk full" not in await _told(office)


async def test_a_device_of_another_directory(office: Office) -> None:
    """That it was moved in the tree is no change of its generation."""
    await office.device(1)
    await office.store.change(
        lambda writer: writer.event("device-moved", actor="me", unit_id=ONE, cause="", directory=-1)
    )

    assert "moved from OS" not in await _told(office)
