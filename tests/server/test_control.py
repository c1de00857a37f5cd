# SPDX-License-Identifier: Apache-2.0
"""Tests of umslab_server.control."""

from __future__ import annotations

import ssl
from typing import TYPE_CHECKING, Any

import msgspec
import pytest
import trio

from umslab_runtime.control import ControlError
from umslab_runtime.executor import InlineExecutor
from umslab_server import backup
from umslab_server.certificates import Certificates, open_or_create, standard_context
from umslab_server.control import Control
from umslab_server.state_folder import StateFolder

from .parts import EPOCH, Endpoint, Office, rendered_logs, unit_id
from .world import QUICK

if TYPE_CHECKING:
    from pathlib import Path

    from umslab_server.store import Writer

ONE, TWO = unit_id(1), unit_id(2)


class Desk:
    """Somebody at the control socket."""

    def __init__(self, control: Control) -> None:
        self.control = control
        self.items: list[Any] = []

    async def ask(self, name: str, **args: Any) -> Any:
        """Run a command; streamed items are kept."""

        async def emit(item: Any) -> None:
            self.items.append(item)
            await trio.lowlevel.checkpoint()

        return msgspec.to_builtins(await self.control.handle(name, args, emit))

    async def refused(self, name: str, **args: Any) -> tuple[str, str]:
        """Run a command that is refused; return code and message."""
        with pytest.raises(ControlError) as caught:
            await self.ask(name, **args)
        return caught.value.code, str(caught.value)


@pytest.fixture
def desk(office: Office, tmp_path: Path) -> Desk:
    """Control of these services."""
    folder = StateFolder(tmp_path)
    web, clients = open_or_create(folder, ["localhost"], QUICK, EPOCH)
    certificates = Certificates(
        web,
        clients,
        names=["localhost"],
        make_context=standard_context(minimum=ssl.TLSVersion.TLSv1_3, tickets=0, check_time=False),
        clock=office.clock,
        executor=InlineExecutor(),
        store=office.store,
    )

    async def status() -> dict[str, Any]:
        return {"devices": await office.registry.count()}

    async def make_backup(path: str) -> dict[str, Any]:
        await trio.lowlevel.checkpoint()
        return backup.make(folder, type(tmp_path)(path), version="test", now=EPOCH)

    return Desk(
        Control(
            keys=office.keys,
            registry=office.registry,
            store=office.store,
            certificates=certificates,
            status=status,
            backup=make_backup,
        )
    )


class TestKeys:
    """K1-K5 from the terminal."""

    async def test_life_of_a_key(self, desk: Desk) -> None:
        """Made, listed without its secret, shown with it, disabled, enabled, deleted."""
        (made,) = await desk.ask("keys.create", kind="one-time", label="for Ann")
        listed = await desk.ask("keys.list")
        with_secrets = await desk.ask("keys.list", secrets=True)
        shown = await desk.ask("keys.show", id=made["id"])
        disabled = await desk.ask("keys.enable", id=made["id"], enabled=False)
        enabled = await desk.ask("keys.enable", id=made["id"], enabled=True)
        await desk.ask("keys.delete", id=made["id"])

        assert made == shown == with_secrets[0]
        assert listed == [{**made, "secret": None}]
        assert [disabled["state"], enabled["state"]] == ["disabled", "unused"]
        assert await desk.ask("keys.list") == []

    async def test_kinds(self, desk: Desk) -> None:
        """Many at once, chosen, bound."""
        many = await desk.ask("keys.create", kind="mass", count=3)
        chosen = await desk.ask("keys.create", kind="mass", chosen="Bremen-2026")
        bound = await desk.ask("keys.create", kind="bound", bound_to=[ONE, TWO])

        assert len({key["secret"] for key in many}) == 3
        assert chosen[0]["secret"] == "Bremen-2026"
        assert [key["bound_to"] for key in bound] == [ONE, TWO]

    async def test_refusals(self, desk: Desk) -> None:
        """Each in a sentence; the text of a key is never repeated."""
        await desk.ask("keys.create", kind="mass", chosen="taken")

        assert await desk.refused("keys.create", kind="mass", chosen="taken") == (
            "refused",
            "a key with this text exists already; no two keys are equal",
        )
        assert "without spaces" in (await desk.refused("keys.create", kind="mass", chosen="two words"))[1]
        assert "words" not in (await desk.refused("keys.create", kind="mass", chosen="two words"))[1]
        assert "is not a unit ID" in (await desk.refused("keys.create", kind="bound", bound_to=["x"]))[1]
        assert "1 to 100000" in (await desk.refused("keys.create", kind="mass", count=0))[1]
        assert "no key number 99" in (await desk.refused("keys.show", id=99))[1]


class TestDevices:
    """The registry from the terminal."""

    async def test_life_of_a_device(self, desk: Desk) -> None:
        """Imported, listed, shown, edited, deleted, restored, purged."""
        imported = await desk.ask("devices.import", csv=f"{ONE};Kiosk\n{TWO};Desk\n")
        again = await desk.ask("devices.import", csv=f"\ufeff{ONE};Kiosk")
        await desk.ask("devices.edit", unit_id=ONE, values={"site": "Bremen"})
        shown = await desk.ask("devices.show", unit_id=ONE)
        deleted = await desk.ask("devices.delete", unit_ids=[ONE, TWO])
        binned = await desk.ask("devices.list", in_bin=True)
        await desk.ask("devices.restore", unit_ids=[ONE])
        await desk.ask("devices.purge", unit_ids=[TWO])
        left = await desk.ask("devices.list")

        assert imported == {"added": 2, "existing": []}
        assert again == {"added": 0, "existing": [ONE]}
        assert (shown["name"], shown["site"], shown["state"]) == ("Kiosk", "Bremen", "never-registered")
        assert deleted == {ONE: "in-bin", TWO: "in-bin"}
        assert [device["unit_id"] for device in binned] == [ONE, TWO]
        assert [device["unit_id"] for device in left] == [ONE]

    async def test_revoke(self, desk: Desk, office: Office) -> None:
        """How many certificates, and the reason for the device."""
        await office.device(1)

        assert await desk.ask("devices.revoke", unit_id=ONE) == 1
        assert [event.cause for event in await office.events("device-revoked")] == ["revoked by the administrator"]

    async def test_refusals(self, desk: Desk) -> None:
        """Unknown devices, texts that are no unit IDs, bad files."""
        for name in ("devices.delete", "devices.restore", "devices.purge"):
            assert await desk.refused(name, unit_ids=[ONE]) == ("refused", f"no device has the unit ID {ONE}")
            assert "is not a unit ID" in (await desk.refused(name, unit_ids=["00:e0:c5:14:32:5b"]))[1]
        assert "line 2: " in (await desk.refused("devices.import", csv=f"{ONE};a\nwrong"))[1]
        assert "nothing to change" in (await desk.refused("devices.edit", unit_id=ONE, values={}))[1]
        assert "cannot be edited" in (await desk.refused("devices.edit", unit_id=ONE, values={"id": "7"}))[1]


class TestCertificates:
    """C20-C22 from the terminal."""

    async def test_show_and_renew(self, desk: Desk) -> None:
        """The root stays, the web certificate changes."""
        before = await desk.ask("certs.show")
        after = await desk.ask("certs.renew")

        assert after["root"] == before["root"]
        assert after["web"]["serial"] != before["web"]["serial"]
        assert await desk.ask("certs.show") == after

    async def test_refusals(self, desk: Desk, tmp_path: Path) -> None:
        """An imported chain, and a folder that is gone, are told in a sentence."""
        (tmp_path / "web" / "root.key").rename(tmp_path / "root.key")
        assert "the chain was imported" in (await desk.refused("certs.renew"))[1]
        (tmp_path / "root.key").rename(tmp_path / "web" / "root.key")
        (tmp_path / "web" / "web.pem").unlink()
        (tmp_path / "web" / "web.pem").mkdir()

        assert "web.pem" in (await desk.refused("certs.renew"))[1]


class TestEvents:
    """The feed from the terminal."""

    async def test_last_ones(self, desk: Desk, office: Office) -> None:
        """So many of the newest, oldest first; the answer tells where to go on."""
        for number in range(1, 6):
            await office.mass_key(f"key-{number}")
        last = await desk.ask("events", limit=2)

        assert [event.id for event in desk.items] == [4, 5]
        assert last == {"last": 5}

    async def test_after(self, desk: Desk, office: Office) -> None:
        """From a number on; beyond the end there is nothing."""
        for number in range(1, 6):
            await office.mass_key(f"key-{number}")
        last = await desk.ask("events", after=3)
        none = await desk.ask("events", after=1000)

        assert [event.id for event in desk.items] == [4, 5]
        assert (last, none) == ({"last": 5}, {"last": 1000})

    async def test_more_than_a_page(self, desk: Desk, office: Office) -> None:
        """A long feed comes whole."""

        def work(writer: Writer) -> None:
            for _ in range(501):
                writer.event("k", actor="t")

        await office.store.change(work)
        await desk.ask("events", after=0)

        assert [event.id for event in desk.items] == list(range(1, 502))

    async def test_nothing_yet(self, desk: Desk) -> None:
        """An empty feed has an end too."""
        assert await desk.ask("events") == {"last": 0}

    async def test_follow(self, desk: Desk, office: Office) -> None:
        """Every event as it comes, each once, of one device if asked."""
        await office.device(1)
        async with trio.open_nursery() as nursery:
            other = Desk(desk.control)
            nursery.start_soon(lambda: desk.ask("events", after=0, follow=True))
            nursery.start_soon(lambda: other.ask("events", limit=0, follow=True, unit_id=TWO))
            await trio.testing.wait_all_tasks_blocked()
            await office.device(2)
            await office.enrol(Endpoint(3), await office.mass_key())
            await trio.testing.wait_all_tasks_blocked()
            nursery.cancel_scope.cancel()
        feed = await office.events()

        assert [event.id for event in desk.items] == [event.id for event in feed]
        assert [event.id for event in other.items] == [event.id for event in feed if event.unit_id == TWO]


class TestTheRest:
    """Status, backup, and what is no command."""

    async def test_status(self, desk: Desk) -> None:
        """Handed through."""
        assert await desk.ask("status") == {"devices": {"online": 0, "offline": 0, "never-registered": 0, "in-bin": 0}}

    async def test_backup(self, desk: Desk, tmp_path: Path) -> None:
        """A file is written, once."""
        told = await desk.ask("backup", path=str(tmp_path / "b.tar"))

        assert told["path"] == str(tmp_path / "b.tar")
        assert "exists already" in (await desk.refused("backup", path=str(tmp_path / "b.tar")))[1]

    async def test_unknown_command(self, desk: Desk) -> None:
        """Named, as far as it is short."""
        assert await desk.refused("keys.burn") == ("unknown-command", "there is no command 'keys.burn'")
        assert len((await desk.refused("x" * 10_000))[1]) < 100

    async def test_busy(self, desk: Desk, office: Office) -> None:
        """A registry that cannot be written is a sentence, not a defect."""
        office.store._write_connection.exec_driver_sql("PRAGMA query_only = ON")
        with rendered_logs():
            code, message = await desk.refused("keys.create", kind="mass")

        assert (code, "could not be written" in message) == ("refused", True)


BAD: list[tuple[str, dict[str, Any]]] = [
    ("status", {"verbose": True}),
    ("keys.create", {}),
    ("keys.create", {"kind": "golden"}),
    ("keys.create", {"kind": "mass", "count": "3"}),
    ("keys.create", {"kind": "mass", "count": 1.5}),
    ("keys.create", {"kind": "mass", "bound_to": "x"}),
    ("keys.list", {"secrets": "yes"}),
    ("keys.show", {}),
    ("keys.show", {"id": "1"}),
    ("keys.show", {"id": -1}),
    ("keys.show", {"id": 2**70}),
    ("keys.enable", {"id": 1}),
    ("keys.enable", {"id": 2**70, "enabled": True}),
    ("keys.delete", {"id": None}),
    ("devices.list", {"in_bin": 1}),
    ("devices.show", {"unit_id": 1}),
    ("devices.edit", {"unit_id": ONE, "values": {"name": None}}),
    ("devices.edit", {"unit_id": ONE}),
    ("devices.delete", {"unit_ids": ONE}),
    ("devices.restore", {}),
    ("devices.purge", {"unit_ids": [1]}),
    ("devices.revoke", {"unit_id": ONE, "why": "x"}),
    ("devices.import", {"csv": ["x"]}),
    ("certs.show", {"x": 1}),
    ("certs.renew", {"x": 1}),
    ("events", {"after": -1}),
    ("events", {"after": 2**70}),
    ("events", {"limit": -1}),
    ("events", {"follow": "yes"}),
    ("backup", {"path": 7}),
    ("backup", {}),
]


@pytest.mark.parametrize(("name", "args"), BAD, ids=[f"{name}-{at}" for at, (name, _) in enumerate(BAD)])
async def test_bad_arguments(desk: Desk, name: str, args: dict[str, Any]) -> None:
    """Wrong types, unknown and missing names, numbers out of bounds: `invalid`, with the command in the sentence."""
    code, message = await desk.refused(name, **args)

    assert code == "invalid"
    assert message.startswith(f"{name}: ")


async def test_every_command_has_bad_arguments(desk: Desk) -> None:
    """The table above is complete."""
    assert {name for name, _ in BAD} == set(desk.control._commands)
