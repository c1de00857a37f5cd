# SPDX-License-Identifier: Apache-2.0
"""Tests of umslab_server.configuration.synchronise: how settings reach devices."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.server.parts import rendered_logs, unit_id
from umslab_protocol.wire.inventory import AppState, InstallState
from umslab_protocol.wire.messages import Ack, Error, PushAppStatus, SettingsMessage
from umslab_protocol.wire.orders import AppOrder
from umslab_server.configuration.assignments import ObjectType
from umslab_server.configuration.profiles import ProfileKind
from umslab_server.configuration.reconcile import When
from umslab_server.configuration.rule_matching import Criteria

from .plant import Plant, open_plant

if TYPE_CHECKING:
    from pathlib import Path


async def change(plant: Plant, value: str, when: When = When.NOW) -> None:
    """Change what all devices are to have."""
    await plant.profiles.edit("global", {"x": value}, actor="ann", when=when)
    await plant.settle()


class TestPull:
    """A device asks what it is to have."""

    async def test_first_time(self, plant: Plant) -> None:
        """Version 1 is computed, stored, and answered, even when it is empty."""
        await plant.register(1)
        thing = await plant.connect()
        answer = await thing.pull()
        before = await plant.state()
        await thing.store()

        assert isinstance(answer, SettingsMessage)
        assert (answer.version, answer.settings, answer.apps, answer.files, answer.re) == (1, {}, [], [], 1)
        assert len(answer.digest) == 64
        assert (1, 0, "PENDING") == before
        assert (1, 1, "APPLIED") == await plant.state()
        assert [1] == [event.data["version"] for event in await plant.events("settings-applied")]

    async def test_nothing_new(self, plant: Plant) -> None:
        """Who has it already gets an acknowledgement."""
        thing = await plant.managed()
        answer = await thing.pull()

        assert Ack(re=thing.said) == answer
        assert len(await plant.events("settings-applied")) == 1

    async def test_changed_while_away(self, plant: Plant) -> None:
        """It gets the newest, once, with one version for each change."""
        thing = await plant.managed()
        thing.leave()
        await change(plant, "2")
        await change(plant, "3")
        thing = await plant.connect(like=thing)
        answer = await thing.pull()

        assert isinstance(answer, SettingsMessage)
        assert (answer.version, answer.settings) == (3, {"x": "3"})

    async def test_lost_acknowledgement(self, plant: Plant) -> None:
        """What a device shows to have counts as acknowledged: nothing is sent twice."""
        thing = await plant.managed()
        await change(plant, "2")
        thing.version, thing.digest = thing.offers[-1].version, thing.offers[-1].digest
        thing.leave()
        again = await plant.connect(like=thing)
        answer = await again.pull()
        await plant.settle()

        assert isinstance(answer, Ack)
        assert (2, 2, "APPLIED") == await plant.state()

    async def test_device_that_forgot(self, plant: Plant) -> None:
        """After a reset to factory defaults a device asks for everything, and gets it."""
        thing = await plant.managed()
        thing.version, thing.digest = 0, ""
        answer = await thing.pull()

        assert isinstance(answer, SettingsMessage)
        assert answer.version == 1

    async def test_in_the_bin(self, plant: Plant) -> None:
        """RB1: a device in the recycle bin gets no settings, pulled, pushed or released; restored, it does at once."""
        thing = await plant.managed()
        await plant.registry.delete(unit_id(1), actor="ann")
        await change(plant, "2", When.REBOOT)
        await plant.configuration.release([unit_id(1)], actor="ann")
        in_bin = await thing.pull()
        before = len(thing.offers)
        await plant.registry.restore(unit_id(1), actor="ann")
        kept_for_reboot = len(thing.offers)
        await plant.registry.delete(unit_id(1), actor="ann")
        await change(plant, "3")
        await plant.registry.restore(unit_id(1), actor="ann")

        assert isinstance(in_bin, Ack)
        assert before == kept_for_reboot == 1
        assert thing.offers[1:] != []
        assert thing.offers[-1].settings == {"x": "3"}

    async def test_first_asked_in_the_bin(self, plant: Plant) -> None:
        """Who asked in vain, and has no version yet, gets its first when it is restored; one that is away, later."""
        await plant.register(1, 2)
        thing = await plant.connect()
        for number in (1, 2):
            await plant.registry.delete(unit_id(number), actor="ann")
        in_bin = await thing.pull()
        for number in (1, 2):
            await plant.registry.restore(unit_id(number), actor="ann")

        assert isinstance(in_bin, Ack)
        assert [offer.version for offer in thing.offers] == [1]

    async def test_after_a_restart(self, tmp_path: Path) -> None:
        """What was decided before the server was killed is what the device gets after."""
        async with open_plant(tmp_path) as plant:
            thing = await plant.managed()
            thing.leave()
            await change(plant, "2")
        async with open_plant(tmp_path) as plant:
            again = await plant.connect(like=thing)
            answer = await again.pull()

            assert isinstance(answer, SettingsMessage)
            assert (answer.version, answer.settings) == (2, {"x": "2"})

    async def test_registry_that_cannot_be_written(self, plant: Plant) -> None:
        """Then the first pull is refused as busy, and the next one succeeds."""
        await plant.register(1)
        thing = await plant.connect()
        plant.store._write_connection.exec_driver_sql("PRAGMA query_only = ON")
        with rendered_logs():
            refused = await thing.pull()
        plant.store._write_connection.exec_driver_sql("PRAGMA query_only = OFF")

        assert isinstance(refused, Error)
        assert refused.code == "busy"
        assert isinstance(await thing.pull(), SettingsMessage)


class TestPush:
    """A change reaches connected devices at once."""

    async def test_sent_and_acknowledged(self, plant: Plant) -> None:
        """One message, whole; PENDING until the device has acknowledged it."""
        thing = await plant.managed()
        await change(plant, "2")
        pending = await plant.state()
        last = await thing.store()

        assert (last.version, last.settings, last.re) == (2, {"x": "2"}, None)
        assert (2, 1, "PENDING") == pending
        assert (2, 2, "APPLIED") == await plant.state()

    async def test_one_event_for_many(self, plant: Plant) -> None:
        """A change for three devices is one event with the number; for one device it names it."""
        things = [await plant.managed(number) for number in (1, 2, 3)]
        await change(plant, "2")
        await plant.fill(2, "only two", y="1")
        await plant.settle()
        many, one = (await plant.events("settings-changed"))[-2:]

        assert [[{"x": "2"}], [{"x": "2"}, {"x": "2", "y": "1"}], [{"x": "2"}]] == [
            [offer.settings for offer in thing.offers[1:]] for thing in things
        ]
        assert (many.unit_id, many.data, many.cause) == (
            None, {"count": 3, "when": "now"}, "profile global was edited",
        )  # fmt: skip
        assert (one.unit_id, one.data["count"]) == (unit_id(2), 1)

    async def test_nothing_changes(self, plant: Plant) -> None:
        """A change that gives no device anything else gives no version and sends nothing."""
        thing = await plant.managed()
        await change(plant, "2")
        await change(plant, "2")

        assert [1, 2] == [offer.version for offer in thing.offers]
        assert (2, 1, "PENDING") == await plant.state()

    async def test_overtaken_acknowledgement(self, plant: Plant) -> None:
        """The acknowledgement of an older version does not say that the newer one is there."""
        thing = await plant.managed()
        await change(plant, "2")
        await change(plant, "3")
        await thing.store(thing.offers[1])
        between = await plant.state()
        await thing.store(thing.offers[2])

        assert (3, 2, "PENDING") == between
        assert (3, 3, "APPLIED") == await plant.state()

    async def test_older_is_not_sent_after_newer(self, plant: Plant) -> None:
        """A slow push of an older version leaves out a device that was sent a newer one."""
        thing = await plant.managed()
        thing.session.settings_sent = 7
        await change(plant, "2")

        assert [1] == [offer.version for offer in thing.offers]

    async def test_refused_by_the_device(self, plant: Plant) -> None:
        """It stays PENDING, and the feed tells why."""
        thing = await plant.managed()
        await change(plant, "2")
        await thing.say(Error(code="disk-full", message="no room", re=thing.offers[-1].id))
        (event,) = await plant.events("settings-refused")

        assert (2, 1, "PENDING") == await plant.state()
        assert (event.unit_id, event.cause) == (unit_id(1), "disk-full: no room")

    async def test_session_ends_before_the_answer(self, plant: Plant) -> None:
        """Then nothing is known, so nothing is noted."""
        thing = await plant.managed()
        await change(plant, "2")
        thing.leave()
        await plant.settle()

        assert (2, 1, "PENDING") == await plant.state()

    async def test_deleted_meanwhile(self, plant: Plant) -> None:
        """An acknowledgement of a device that is gone changes nothing."""
        thing = await plant.managed()
        await change(plant, "2")
        offer = thing.offers[-1]
        await plant.registry.purge(unit_id(1), actor="ann")
        thing.session.answered(Ack(re=offer.id))
        await plant.settle()

        assert len(await plant.events("settings-applied")) == 1

    async def test_many_devices_share_one_document(self, plant: Plant) -> None:
        """Equal documents are one object, serialised once."""
        things = [await plant.managed(number) for number in range(1, 71)]
        await change(plant, "2")
        raw = [thing.pump.sent[-1] for thing in things]

        assert len({id(one.settings) for one in raw if isinstance(one, SettingsMessage)}) == 1
        assert all(thing.offers[-1].settings == {"x": "2"} for thing in things)


class TestReboot:
    """What is kept for the reboot."""

    async def test_not_before(self, plant: Plant) -> None:
        """Neither pushed, nor pulled in this session, nor after a mere reconnection; at the next boot it comes."""
        thing = await plant.managed()
        await change(plant, "2", When.REBOOT)
        kept = await thing.pull()
        thing.leave()
        again = await plant.connect(like=thing)
        still_kept = await again.pull()
        again.leave()
        booted = await plant.connect(boot="b2", like=thing)
        due = await booted.pull()
        await booted.store()

        assert isinstance(kept, Ack)
        assert isinstance(still_kept, Ack)
        assert isinstance(due, SettingsMessage)
        assert (due.version, due.settings) == (2, {"x": "2"})
        assert (2, 2, "APPLIED") == await plant.state()

    async def test_kept_after_that_boot(self, plant: Plant) -> None:
        """What is decided after the hello waits for the boot after."""
        thing = await plant.managed()
        booted = await plant.connect(boot="b2", like=thing)
        await change(plant, "2", When.REBOOT)

        assert isinstance(await booted.pull(), Ack)
        assert (2, 1, "PENDING") == await plant.state()

    async def test_boot_noted_by_a_server_that_died(self, tmp_path: Path) -> None:
        """A server that is killed between the hello and the pull has not forgotten that it is due."""
        async with open_plant(tmp_path) as plant:
            thing = await plant.managed()
            await change(plant, "2", When.REBOOT)
            await plant.connect(boot="b2", like=thing)
        async with open_plant(tmp_path) as plant:
            again = await plant.connect(boot="b2", like=thing)

            assert isinstance(await again.pull(), SettingsMessage)

    async def test_now_takes_all_with_it(self, plant: Plant) -> None:
        """A document is whole: a change for now brings what was kept; a later one for the reboot goes with it."""
        thing = await plant.managed()
        await change(plant, "2", When.REBOOT)
        await plant.profiles.edit("global", {"y": "1"}, actor="ann", when=When.NOW)
        await plant.profiles.edit("global", {"z": "1"}, actor="ann", when=When.REBOOT)

        assert [{}, {"x": "2", "y": "1"}, {"x": "2", "y": "1", "z": "1"}] == [one.settings for one in thing.offers]

    async def test_released_by_hand(self, plant: Plant) -> None:
        """`ctl settings send` lets it go now; for a device without anything kept it does nothing."""
        thing = await plant.managed(1)
        other = await plant.managed(2)
        await plant.profiles.create("p", ProfileKind.PROFILE, {"x": "2"}, actor="ann")
        await plant.assignments.assign(ObjectType.PROFILE, "p", [unit_id(1)], actor="ann", when=When.REBOOT)
        outcome = await plant.configuration.release([unit_id(1), unit_id(2)], actor="ann")

        assert outcome.devices == 1
        assert [{}, {"x": "2"}] == [one.settings for one in thing.offers]
        assert len(other.offers) == 1

    async def test_taken_back(self, plant: Plant) -> None:
        """A change that is undone before the boot leaves nothing pending."""
        thing = await plant.managed()
        await plant.profiles.create("p", ProfileKind.PROFILE, {"x": "2"}, actor="ann")
        await plant.assignments.assign(ObjectType.PROFILE, "p", ["/"], actor="ann", when=When.REBOOT)
        await plant.assignments.unassign(ObjectType.PROFILE, "p", ["/"], actor="ann", when=When.REBOOT)

        assert (await plant.state())[2] == "APPLIED"
        assert isinstance(await thing.pull(), Ack)


class TestPlacedAfterTheFirstPull:
    """A device that asks before it tells about itself."""

    async def test_gets_what_its_directory_has(self, plant: Plant) -> None:
        """Then the rules' placing makes a second version, which is sent."""
        await plant.directories.create("/Bremen", actor="ann")
        await plant.apps.create("chrome", "1", actor="ann")
        await plant.assignments.assign(ObjectType.APP, "chrome", ["/Bremen"], actor="ann", when=When.NOW)
        await plant.rules.create("all", Criteria(), directory="/Bremen", actor="ann")
        await plant.register(1)
        thing = await plant.connect()
        await thing.pull()
        await thing.store()
        await thing.tell()
        await thing.say(PushAppStatus(id=9, apps=[AppState(name="a", version="1", state=InstallState.INSTALLED)]))

        assert [[], [AppOrder(name="chrome", version="1")]] == [one.apps for one in thing.offers]
        assert "/Bremen" == await plant.where()
